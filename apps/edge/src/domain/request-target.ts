import { keyProblem } from '@sluice/contracts';

export type Target = { readonly kind: 'key'; readonly key: string } | { readonly kind: 'invalid'; readonly problem: string };

/**
 * The content key that a request target (RFC 9112 §3.2, origin-form or absolute-form) names: the path without the leading slash,
 * percent-decoded once. The query is not part of the key.
 */
export function parseTarget(target: string): Target {
  const path = pathOf(target);
  if (path === undefined) return { kind: 'invalid', problem: 'the request target is not a path' };
  let key: string;
  try {
    key = decodeURIComponent(path.slice(1));
  } catch {
    return { kind: 'invalid', problem: 'the path has invalid percent-encoding or is not UTF-8' };
  }
  const problem = keyProblem(key);
  return problem === undefined ? { kind: 'key', key } : { kind: 'invalid', problem: `the path ${problem}` };
}

function pathOf(target: string): string | undefined {
  const absolute = /^https?:\/\/[^/?#]*/i.exec(target);
  const rest = absolute === null ? target : target.slice(absolute[0].length) || '/';
  if (!rest.startsWith('/')) return undefined;
  const end = rest.search(/[?#]/);
  return end === -1 ? rest : rest.slice(0, end);
}
