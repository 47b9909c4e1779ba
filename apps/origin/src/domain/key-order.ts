/** The order of keys everywhere: that of their UTF-8 bytes, which is that of their code points. Negative, 0 or positive. */
export function compareKeys(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}
