import { randomBytes } from 'node:crypto';

/** 256 bits, in characters that a bearer token may have (RFC 6750 §2.1). */
const TOKEN_BYTES = 32;

/** A token for the administrative interfaces, in a form that `<APP>_ADMIN_TOKEN_FILE` takes. */
export function makeAdminToken(): string {
  return randomBytes(TOKEN_BYTES).toString('hex');
}

/** The text of a file of tokens that begins with a new one. The one that was first is taken for a while yet: until the next time. */
export function withNewAdminToken(text = ''): string {
  const [before] = text.split('\n').filter((line) => /^[^#\s]/.test(line));
  return [makeAdminToken(), ...(before === undefined ? [] : [before.trim()]), ''].join('\n');
}
