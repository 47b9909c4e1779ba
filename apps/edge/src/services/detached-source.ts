import { BlobMismatchError, BlobReader, type ByteSource } from '@sluice/blobs';
import type { Manifest } from '@sluice/contracts';
import { openFill } from './readable-fills.ts';
import type { ReplicaLink } from './replica-link.ts';

/** Bytes that this edge does not keep. Lets go of them when it is closed. @throws {SluiceError} */
export async function bringDetached(link: ReplicaLink, manifest: Manifest): Promise<ByteSource> {
  const { sha256, size } = manifest;
  const detached = await link.ask('bringDetached', manifest);
  if (detached.kind === 'bytes') return new BlobReader({ sha256, size }, detached.bytes, undefined);
  const release = (): void => link.tell({ kind: 'released', id: detached.id });
  const reader = await openFill({ sha256, sizeBytes: size, path: detached.path, growth: detached.growth }).catch((error) => {
    release();
    throw error;
  });
  if (reader === undefined) {
    release();
    throw new BlobMismatchError('the bytes did not come');
  }
  return {
    read: (offset, length) => reader.read(offset, length),
    readInto: (buffer, offset) => reader.readInto(buffer, offset),
    close: async () => {
      await reader.close();
      release();
    },
  };
}
