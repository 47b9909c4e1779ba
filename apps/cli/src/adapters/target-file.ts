/** A file of this machine that is to be got: it appears under its name whole and verified, or not at all. */
import { createHash, type Hash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { Transform, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CommandError, EXIT, usageError } from '../domain/failure.ts';

/** How Node says that the connection ended before the answer did. */
const BROKEN_OFF: ReadonlySet<string | undefined> = new Set(['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ETIMEDOUT']);

/** Where `output` says to write a file called `fileName`: into it when it is a directory. */
export async function targetPath(output: string, fileName: string): Promise<string> {
  const found = await stat(output).catch(() => undefined);
  if (found?.isDirectory()) return join(output, fileName);
  if (output.endsWith('/')) throw usageError(`there is no directory ${output}`);
  return output;
}

/** Writes an answer's body to `path`. @throws {CommandError} as {@link receive}, or when the disk refuses; nothing is left then */
export async function receiveFile(response: IncomingMessage, path: string, signal: AbortSignal): Promise<number> {
  const partial = `${path}.${process.pid}.part`;
  try {
    const sizeBytes = await receive(response, createWriteStream(partial), { signal });
    await rename(partial, path);
    return sizeBytes;
  } catch (error) {
    await rm(partial, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    const reasons: Readonly<Record<string, string>> = {
      ENOSPC: 'the disk is full',
      ENOENT: 'there is no such directory',
      EACCES: 'permission denied',
      EISDIR: 'it is a directory',
    };
    const reason = reasons[code ?? ''];
    throw reason === undefined ? error : new CommandError(EXIT.FAILED, 'UNWRITABLE', `cannot write ${path}: ${reason}`, error);
  }
}

export interface ReceiveOptions {
  readonly signal: AbortSignal;
  /** Whether `target` ends with the body; stdout does not. Default true. */
  readonly end?: boolean;
}

/**
 * Copies an answer's body to `target`, verifying its length and, where the answer's entity tag is a checksum, its bytes.
 * Returns its size in bytes.
 * @throws {CommandError} when it broke off or is not what was announced
 */
export async function receive(response: IncomingMessage, target: Writable, { signal, end = true }: ReceiveOptions): Promise<number> {
  const { 'content-length': announced, etag } = response.headers;
  const digest = /^"([0-9a-f]{32}|[0-9a-f]{64})"$/.exec(etag ?? '')?.[1];
  const hash = digest === undefined ? undefined : createHash(digest.length === 32 ? 'md5' : 'sha256');
  const counter = new CountingHash(hash);
  try {
    await pipeline(response, counter, target, { signal, end });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw BROKEN_OFF.has((error as NodeJS.ErrnoException).code) ? incomplete(counter.sizeBytes, announced) : error;
  }
  if (announced !== undefined && Number(announced) !== counter.sizeBytes) throw incomplete(counter.sizeBytes, announced);
  if (digest !== undefined && hash?.digest('hex') !== digest) {
    throw new CommandError(EXIT.FAILED, 'BAD_DIGEST', 'what arrived does not have the checksum that was announced; get it again');
  }
  return counter.sizeBytes;
}

class CountingHash extends Transform {
  readonly #hash: Hash | undefined;
  sizeBytes = 0;

  constructor(hash: Hash | undefined) {
    super();
    this.#hash = hash;
  }
  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: (error: null, chunk: Buffer) => void): void {
    this.#hash?.update(chunk);
    this.sizeBytes += chunk.length;
    done(null, chunk);
  }
}

function incomplete(sizeBytes: number, announced: string | undefined): CommandError {
  return new CommandError(
    EXIT.FAILED,
    'INCOMPLETE',
    `the answer broke off after ${sizeBytes} of ${announced ?? 'an unknown number of'} bytes; get it again`,
  );
}
