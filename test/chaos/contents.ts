/** The bytes of a run: each content is named by what makes it, so that a plan can speak of it and the checker knows every byte. */
import { contentOf } from '@sluice/testkit';

export type Content =
  /** Incompressible. */
  | { readonly kind: 'noise'; readonly name: string; readonly size: number }
  /** Compresses well, so that the origin makes variants. */
  | { readonly kind: 'text'; readonly name: string; readonly size: number }
  /** The other one with a few bytes replaced in the middle: worth a patch. */
  | { readonly kind: 'edit'; readonly of: Content; readonly name: string };

export function sizeOf(content: Content): number {
  return content.kind === 'edit' ? sizeOf(content.of) : content.size;
}

/** Edits of edits of edits: beyond it a content begins anew. */
export const EDITS_MAX = 8;
export function editsOf(content: Content): number {
  return content.kind === 'edit' ? 1 + editsOf(content.of) : 0;
}

export function contentTypeOf(content: Content): string {
  if (content.kind === 'edit') return contentTypeOf(content.of);
  return content.kind === 'text' ? 'text/plain' : 'application/octet-stream';
}

export function bytesOf(content: Content): Buffer {
  switch (content.kind) {
    case 'noise':
      return contentOf(content.size, content.name);
    case 'text': {
      const line = Buffer.from(`${content.name} says what it always says, and then something of its own\n`);
      const whole = Buffer.alloc(content.size, line);
      for (let at = 0; at < content.size; at += 4096) whole.write(contentOf(8, `${content.name} ${at}`).toString('hex'), at, 'latin1');
      return whole;
    }
    case 'edit': {
      const whole = Buffer.from(bytesOf(content.of));
      contentOf(Math.min(24, whole.length), content.name).copy(whole, Math.floor(whole.length / 2));
      return whole;
    }
  }
}
