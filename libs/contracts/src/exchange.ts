/** A request and its reply as they went over the wire. */
export interface Exchange {
  readonly subject: string;
  /** From the request's header: named by this request, and by no other one. */
  readonly nonce: string;
  readonly request: Uint8Array;
  readonly reply: Uint8Array;
  /** How the reply is to be read: a header says that, so it could be changed on the way. */
  readonly kind: 'json' | 'bytes';
}
