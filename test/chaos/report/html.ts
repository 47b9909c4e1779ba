/** Markup in which text from outside stays text: whatever is put into it is escaped, unless it was made here. Pure. */

/** Text that is markup already: what {@link html} made, or a constant of this program. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Value = string | number | Markup | readonly Markup[];

/** The pieces as they stand and the values escaped, for content of elements and values of quoted attributes: `` html`<p title="${title}">${text}</p>` ``. */
export function html(pieces: TemplateStringsArray, ...values: readonly Value[]): Markup {
  return new Markup(pieces.reduce((text, piece, index) => text + textOf(values[index - 1] as Value) + piece));
}

function textOf(value: Value): string {
  if (value instanceof Markup) return value.text;
  if (typeof value === 'object') return value.map(({ text }) => text).join('\n');
  return String(value).replace(/[&<>"'`]/g, (character) => `&#${character.codePointAt(0)};`);
}

export const NOTHING: Markup = html``;

/** Scrolls by itself where it is wider than the page; nothing without rows. Columns whose title begins with `#` are numbers. */
export function table(titles: readonly string[], rows: readonly (readonly Value[])[]): Markup {
  if (rows.length === 0) return NOTHING;
  const isNumber = titles.map((title) => title.startsWith('#'));
  const heads = titles.map((title, column) =>
    isNumber[column] ? html`<th scope="col" class="number">${title.slice(1)}</th>` : html`<th scope="col">${title}</th>`,
  );
  const lines = rows.map((cells) => {
    const each = cells.map((cell, column) => (isNumber[column] ? html`<td class="number">${cell}</td>` : html`<td>${cell}</td>`));
    return html`<tr>${each}</tr>`;
  });
  return html`<div class="wide" tabindex="0"><table><thead><tr>${heads}</tr></thead><tbody>${lines}</tbody></table></div>`;
}
