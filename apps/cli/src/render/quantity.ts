import prettyBytes from 'pretty-bytes';
import prettyMs from 'pretty-ms';

/** `12.3 kB` */
export function bytes(sizeBytes: number): string {
  return prettyBytes(sizeBytes);
}

/** `84ms`, `1.2s` */
export function duration(durationMs: number): string {
  return prettyMs(Math.round(durationMs));
}

/** `1 edge`, `3 edges` */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** Text from elsewhere that goes on a terminal: control characters become visible, so that none of them is obeyed. */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
