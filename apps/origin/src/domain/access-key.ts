/** Who may do what. */

export const RIGHTS = ['read', 'write', 'delete', 'list', 'invalidate'] as const;
export type Right = (typeof RIGHTS)[number];

/** In place of a bucket's name: all of them, also those to come. */
export const EVERY_BUCKET = '*';
/** In place of a bucket's name: whichever, as long as there is one. No bucket is called so. */
export const SOME_BUCKET = '';

export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** By bucket, or {@link EVERY_BUCKET}. What either grants is granted. */
  readonly rights: ReadonlyMap<string, ReadonlySet<Right>>;
}

/** By their ids. */
export type AccessKeys = ReadonlyMap<string, AccessKey>;

/** What a request cannot be answered without. */
export interface Need {
  readonly right: Right;
  /** {@link EVERY_BUCKET}: the right on all of them at once; {@link SOME_BUCKET}: on any. */
  readonly bucket: string;
}

/** The first of the needs that a key does not meet. */
export function unmetNeed({ rights }: AccessKey, needs: readonly Need[]): Need | undefined {
  const isMet = ({ right, bucket }: Need): boolean =>
    rights.get(EVERY_BUCKET)?.has(right) === true ||
    (bucket === SOME_BUCKET ? rights.values().some((granted) => granted.has(right)) : rights.get(bucket)?.has(right) === true);
  return needs.find((need) => !isMet(need));
}
