import { stripVTControlCharacters } from 'node:util';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** A table in plain text: a line of titles, a line per row, two spaces between the columns, none at the ends. Cells may be coloured. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const lines = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, column) => Math.max(...lines.map((cells) => width(cells[column] ?? ''))));
  return lines.map((cells) =>
    columns
      .map(({ align = 'left' }, column) => {
        const cell = cells[column] ?? '';
        const padding = ' '.repeat((widths[column] ?? 0) - width(cell));
        return align === 'left' ? cell + padding : padding + cell;
      })
      .join('  ')
      .trimEnd(),
  );
}

function width(cell: string): number {
  return [...stripVTControlCharacters(cell)].length;
}
