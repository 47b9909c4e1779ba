/** Reads one state of a file, or says that it is gone. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { SluiceError } from '@sluice/contracts';
import { type OpenSourceObject, RevisionGoneError, type SourceDescription, type SourceRange } from '../../services/source-port.ts';
import type { FoundFile } from './directory-tree.ts';
import { stateOf } from './file-state.ts';

const CHUNK_BYTES = 256 * 1024;
/** What was looked at may have become a link, or a pipe that nobody writes into. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

export interface OpenFileOptions {
  readonly key: string;
  readonly file: FoundFile;
  readonly description: SourceDescription;
  readonly range: SourceRange | undefined;
  /** Whether the key still leads to that state of that file. */
  readonly isStill: () => Promise<boolean>;
  /** The error for what the system said. */
  readonly failure: (error: unknown) => unknown;
}

/** @throws {RevisionGoneError | SourceAwayError} */
export async function openFile({ key, file, description, range, isStill, failure }: OpenFileOptions): Promise<OpenSourceObject> {
  const size = Number(file.stat.size);
  const { offset, length } = range ?? { offset: 0, length: size };
  if (offset < 0 || length < 0 || offset + length > size) throw new RangeError(`${key} has ${size} bytes, not ${length} from ${offset} on`);
  const state = stateOf(file.stat);
  const handle = await open(file.real, OPEN_FLAGS).catch((error: unknown) => {
    throw failure(error);
  });
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= handle.close();
    return closing;
  };
  // Whoever writes into a file, however little, gives it another state before the first byte of it can be read.
  const checkHandle = async (): Promise<void> => {
    if (stateOf(await handle.stat({ bigint: true })) !== state) throw new RevisionGoneError({ key });
  };
  const check = async (): Promise<void> => {
    await checkHandle();
    if (!(await isStill())) throw new RevisionGoneError({ key });
  };

  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      for (let at = offset; at < offset + length; ) {
        const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, offset + length - at));
        if (closing !== undefined) throw new ReadClosedError(key);
        if (!(await fill(handle, buffer, at))) throw new RevisionGoneError({ key });
        at += buffer.byteLength;
        if (at === offset + length) await check();
        if (closing !== undefined) throw new ReadClosedError(key);
        yield buffer;
      }
      if (length === 0) await check();
    } catch (error) {
      throw closing === undefined || error instanceof SluiceError ? failure(error) : new ReadClosedError(key, error);
    } finally {
      await close();
    }
  }

  try {
    await checkHandle();
  } catch (error) {
    await close();
    throw failure(error);
  }
  return { ...description, chunks: chunks(), close };
}

/** Whether the file had as many bytes. */
async function fill(handle: FileHandle, buffer: Uint8Array, position: number): Promise<boolean> {
  for (let filled = 0; filled < buffer.byteLength; ) {
    const { bytesRead } = await handle.read(buffer, filled, buffer.byteLength - filled, position + filled);
    if (bytesRead === 0) return false;
    filled += bytesRead;
  }
  return true;
}

/** Its reader closed it before the end. */
export class ReadClosedError extends SluiceError {
  constructor(key: string, cause?: unknown) {
    super('READ_CLOSED', `${key} was closed before it was read to its end`, { cause });
    this.name = 'ReadClosedError';
  }
}
