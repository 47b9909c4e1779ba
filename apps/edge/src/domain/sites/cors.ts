/** Cross-origin requests: https://fetch.spec.whatwg.org/#http-cors-protocol. Pure. */
import { type Fields, fieldOf } from '@sluice/http-semantics';
import type { Cors } from './site.ts';

/** The fields of an answer to a request of a page of another origin, as name, value …; those of `Vary` are apart. */
export interface CorsAnswer {
  readonly fields: readonly string[];
  readonly vary: readonly string[];
}

const NOTHING: CorsAnswer = { fields: [], vary: [] };

/** What lets a page of another origin read an answer. */
export function corsAnswer(cors: Cors | undefined, request: Fields): CorsAnswer {
  if (cors === undefined) return NOTHING;
  // Also on an answer that allows nothing: a cache must not give it to an origin that is allowed (§3.2.5 of the Fetch standard).
  const vary = isSameForAll(cors) ? [] : ['Origin'];
  const allowed = allowedOrigin(cors, fieldOf(request, 'origin'));
  if (allowed === undefined) return { fields: [], vary };
  const fields = ['Access-Control-Allow-Origin', allowed];
  if (cors.credentials) fields.push('Access-Control-Allow-Credentials', 'true');
  if (cors.exposedHeaders.length > 0) fields.push('Access-Control-Expose-Headers', cors.exposedHeaders.join(', '));
  return { fields, vary };
}

/** Whether a request asks what may be asked (§3.2.2 of the Fetch standard). */
export function isPreflight(method: string | undefined, request: Fields): boolean {
  return (
    method === 'OPTIONS' && fieldOf(request, 'origin') !== undefined && fieldOf(request, 'access-control-request-method') !== undefined
  );
}

/** The answer to that. What is read can only be read: GET and HEAD. */
export function preflightAnswer(cors: Cors, request: Fields): CorsAnswer {
  const { fields, vary } = corsAnswer(cors, request);
  if (fields.length === 0) return { fields, vary };
  const more = ['Access-Control-Allow-Methods', 'GET, HEAD', 'Access-Control-Max-Age', String(cors.maxAgeSeconds)];
  if (cors.headers.length > 0) more.push('Access-Control-Allow-Headers', cors.headers.join(', '));
  return { fields: [...fields, ...more], vary };
}

function isSameForAll(cors: Cors): boolean {
  return cors.origins === '*' && !cors.credentials;
}

/** `*` may not be said to a request with credentials: then the origin is named. */
function allowedOrigin(cors: Cors, origin: string | undefined): string | undefined {
  if (isSameForAll(cors)) return '*';
  if (origin === undefined) return undefined;
  return cors.origins === '*' || cors.origins.includes(origin) ? origin : undefined;
}
