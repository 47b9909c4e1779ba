import { ConfigError } from '@sluice/runtime';
import { type PublicKeys, parsePublicKeys } from '@sluice/signing';

/** The file that `EDGE_ORIGIN_PUBLIC_KEYS_FILE` names. @throws {ConfigError} */
export function readPublicKeys(text: string): PublicKeys {
  try {
    return parsePublicKeys(text);
  } catch (error) {
    throw new ConfigError([`EDGE_ORIGIN_PUBLIC_KEYS_FILE: ${(error as Error).message}`], 'the file of public keys');
  }
}
