import type { OriginFixture } from './origin.fixture.ts';

type Headers = Record<string, string>;

/** A part as it is listed: its number, and its ETag with quotes. */
export interface PartOfList {
  readonly number: number;
  readonly etag: string;
  /** More elements of the list. */
  readonly more?: string;
}

/** The text of an element of a document. */
export function elementOf(document: string, name: string): string | undefined {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(document)?.[1];
}

/** The texts of all elements of a name. */
export function elementsOf(document: string, name: string): string[] {
  return [...document.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map(([, text]) => text as string);
}

export function completeDocument(parts: readonly PartOfList[]): string {
  const listed = parts.map(({ number, etag, more = '' }) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag>${more}</Part>`);
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${listed.join('')}</CompleteMultipartUpload>`;
}

/** One multipart upload, over HTTP. */
export class UploadInParts {
  readonly #origin: OriginFixture;
  readonly path: string;
  readonly id: string;

  private constructor(origin: OriginFixture, path: string, id: string) {
    this.#origin = origin;
    this.path = path;
    this.id = id;
  }

  static async create(origin: OriginFixture, path: string, headers: Headers = {}): Promise<UploadInParts> {
    const answer = await fetch(`${origin.url}${path}?uploads`, { method: 'POST', headers });
    const id = elementOf(await answer.text(), 'UploadId');
    if (answer.status !== 200 || id === undefined) throw new Error(`not created: ${answer.status}`);
    return new UploadInParts(origin, path, id);
  }

  get url(): string {
    return `${this.#origin.url}${this.path}?uploadId=${this.id}`;
  }

  send(number: number | string, body: Uint8Array<ArrayBuffer> | string, headers: Headers = {}): Promise<Response> {
    return fetch(`${this.url}&partNumber=${number}`, { method: 'PUT', body, headers });
  }

  /** Sends a part that is to be taken. */
  async part(number: number, body: Uint8Array<ArrayBuffer> | string, headers: Headers = {}): Promise<PartOfList> {
    const answer = await this.send(number, body, headers);
    if (answer.status !== 200) throw new Error(`part ${number}: ${answer.status} ${await answer.text()}`);
    return { number, etag: answer.headers.get('etag') ?? '' };
  }

  complete(parts: readonly PartOfList[], headers: Headers = {}): Promise<Response> {
    return fetch(this.url, { method: 'POST', body: completeDocument(parts), headers });
  }

  abort(): Promise<Response> {
    return fetch(this.url, { method: 'DELETE' });
  }

  /** The numbers of the parts that are there. */
  async numbers(): Promise<number[]> {
    return elementsOf(await (await fetch(this.url)).text(), 'PartNumber').map(Number);
  }
}
