/** `--edges us-1:US,eu-1:EU:8090` */
import { edgeId, region } from '@sluice/contracts';
import { usageError } from './failure.ts';

export interface ListedEdge {
  readonly id: string;
  readonly region: string;
  /** Absent when the list leaves it open. */
  readonly port?: number;
}

/** @throws {CommandError} usage, naming the entry that cannot be read */
export function parseEdgeList(text: string): ListedEdge[] {
  const edges = text.split(',').map((entry) => parseEdge(entry.trim()));
  for (const [index, { id }] of edges.entries()) {
    if (edges.findIndex((other) => other.id === id) !== index)
      throw usageError(`--edges names "${id}" twice; every edge needs an id of its own`);
  }
  return edges;
}

/** Most edges that a list with ranges may come to. */
const EXPANDED_MAX = 10_000;

/** `us-1..16:US` instead of sixteen edges. @throws {CommandError} usage, for a range that is none or too long */
export function expandRanges(text: string): string {
  const entries = text.split(',').flatMap((entry) => {
    const match = /^(.*?)(\d+)\.\.(\d+)(:.*)?$/.exec(entry.trim());
    if (match === null) return [entry];
    const [, prefix = '', first, last, rest = ''] = match;
    const length = Number(last) - Number(first) + 1;
    if (length < 1 || length > EXPANDED_MAX)
      throw usageError(`--edges: "${entry.trim()}" must go up, over at most ${EXPANDED_MAX} edges, as in us-1..16:US`);
    return Array.from({ length }, (_, index) => `${prefix}${Number(first) + index}${rest}`);
  });
  if (entries.length > EXPANDED_MAX) throw usageError(`--edges names ${entries.length} edges; at most ${EXPANDED_MAX} can be`);
  return entries.join(',');
}

function parseEdge(entry: string): ListedEdge {
  const [id, regionName, port, ...rest] = entry.split(':');
  if (regionName === undefined || rest.length > 0) {
    throw usageError(`--edges: "${entry}" must be <id>:<region> or <id>:<region>:<port>, as in us-1:US,eu-1:EU`);
  }
  const checkedId = edgeId.safeParse(id);
  if (!checkedId.success) throw usageError(`--edges: the id "${id}" ${checkedId.error.issues[0]?.message}`);
  const checkedRegion = region.safeParse(regionName);
  if (!checkedRegion.success) throw usageError(`--edges: the region "${regionName}" ${checkedRegion.error.issues[0]?.message}`);
  if (port === undefined) return { id: checkedId.data, region: checkedRegion.data };
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) throw usageError(`--edges: "${port}" is no port; use a number from 0 to 65535`);
  return { id: checkedId.data, region: checkedRegion.data, port: Number(port) };
}
