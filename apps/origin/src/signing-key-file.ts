import { ConfigError } from '@sluice/runtime';
import { parseSigningKey, type SigningKey } from '@sluice/signing';

/** The file that `ORIGIN_SIGNING_KEY_FILE` names. @throws {ConfigError} which says nothing of what is in it */
export function readSigningKey(text: string): SigningKey {
  try {
    return parseSigningKey(text);
  } catch (error) {
    throw new ConfigError([`ORIGIN_SIGNING_KEY_FILE: ${(error as Error).message}`], 'the signing key');
  }
}
