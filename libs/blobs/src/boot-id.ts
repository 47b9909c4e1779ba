import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';

/**
 * Changes with each start of the machine: what was written under another one, and not synced, may be gone. Where there is no such thing
 * every call gives another one.
 */
export function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return randomUUID();
  }
}
