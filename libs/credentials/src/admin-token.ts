import { randomBytes } from 'node:crypto';

/** 256 bits, in characters that a bearer token may have (RFC 6750 §2.1). */
const TOKEN_BYTES = 32;

/** A token for the administrative interfaces, in a form that `<APP>_ADMIN_TOKEN_FILE` takes. */
function makeAdminToken(): string {
  return randomBytes(TOKEN_BYTES).toString('hex');
}

/** The tokens in the text of a file of them: one a line, blank lines and those that begin with `#` apart. Whether they are good ones is for who takes them to say. */
export function adminTokensIn(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** The text of a file of tokens that begins with a new one. The one that was first is taken for a while yet: until the next time. */
export function withNewAdminToken(text = ''): string {
  return [makeAdminToken(), ...adminTokensIn(text).slice(0, 1), ''].join('\n');
}
