import type { StoredObject } from '../../domain/catalog-change.ts';
import { uploadFieldsOf } from '../../domain/upload-headers.ts';
import type { OpenBlob, OriginBlobs } from '../../services/origin-blobs.ts';
import {
  type ContentSource,
  type OpenSourceObject,
  RevisionGoneError,
  type SourceDescription,
  type SourceObject,
  type SourceRange,
} from '../../services/source-port.ts';
import { bytesOf } from '../blobs/blob-bytes.ts';
import type { Catalog } from '../catalog/catalog.ts';

const PAGE_MAX = 1_000;

export interface StoreSourceOptions {
  readonly catalog: Pick<Catalog, 'find' | 'page'>;
  readonly blobs: Pick<OriginBlobs, 'reader'>;
}

/** What was uploaded to this origin, as a source: its states are the versions, and a version never changes. */
export class StoreSource implements ContentSource {
  readonly kind = 'store';
  readonly title = 'store';
  readonly #options: StoreSourceOptions;

  constructor(options: StoreSourceOptions) {
    this.#options = options;
  }

  async *list(prefix: string): AsyncGenerator<readonly SourceObject[]> {
    for (let after = ''; ; ) {
      const page = this.#options.catalog.page(prefix, after, PAGE_MAX);
      if (page.length > 0) yield page.map(objectOf);
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE_MAX) return;
      after = last.manifest.key;
    }
  }

  async find(key: string): Promise<SourceObject | undefined> {
    const found = this.#options.catalog.find(key);
    return found && objectOf(found);
  }

  async describe(object: SourceObject): Promise<SourceDescription> {
    return descriptionOf(this.#still(object));
  }

  async open(object: SourceObject, range?: SourceRange): Promise<OpenSourceObject> {
    const found = this.#still(object);
    const { offset, length } = range ?? { offset: 0, length: object.size };
    let reader: OpenBlob;
    try {
      reader = await this.#options.blobs.reader(found.manifest.sha256);
    } catch (error) {
      // Its bytes went between looking it up and opening them: it was overwritten just then.
      this.#still(object);
      throw error;
    }
    const ended = new AbortController();
    return {
      ...descriptionOf(found),
      chunks: bytesOf(reader, offset, offset + length - 1, ended.signal),
      close: async () => {
        ended.abort();
        await reader.close();
      },
    };
  }

  /** Changes come by uploads, and are announced by them. */
  async watch(): Promise<() => Promise<void>> {
    return async () => {};
  }

  /** @throws {RevisionGoneError} */
  #still(object: SourceObject): StoredObject {
    const found = this.#options.catalog.find(object.key);
    if (found === undefined || objectOf(found).revision !== object.revision) throw new RevisionGoneError(object);
    return found;
  }
}

function objectOf({ manifest }: StoredObject): SourceObject {
  const { key, version, sha256, size } = manifest;
  return { key, size, revision: String(version), bytesRevision: sha256 };
}

function descriptionOf({ manifest, etag }: StoredObject): SourceDescription {
  return { fields: uploadFieldsOf(manifest), etag, modifiedAt: manifest.uploadedAt };
}
