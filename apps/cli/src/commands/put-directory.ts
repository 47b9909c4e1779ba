/** Many files at once. */
import type { Announcement } from '../adapters/origin-client.ts';
import type { SourceFile } from '../adapters/source-files.ts';
import { mapBounded } from '../domain/bounded-map.ts';
import { CommandError, EXIT, type ExitCode, worstOf } from '../domain/failure.ts';
import { type UploadProgress, uploadProgress } from '../render/progress.ts';
import { bytes, count, visible } from '../render/quantity.ts';
import type { WaitOptions } from './arguments.ts';
import type { Context } from './context.ts';
import { errorField, reportSum, waitForEvents } from './distribution-wait.ts';

const UPLOADS_AT_ONCE = 8;
/** Files uploaded before their distribution is waited for: far fewer than the outcomes that a controller remembers. */
const BATCH_FILES = 1_000;

export interface Upload {
  readonly key: string;
  readonly file: SourceFile;
}
type Uploaded = Upload & { readonly announcement: Announcement };
type Refused = Upload & { readonly error: CommandError };

/** Puts every file; one that is refused stops no other, an origin that cannot be reached stops all. */
export async function putAll(
  context: Context,
  uploads: readonly Upload[],
  headersOf: (key: string) => Record<string, string>,
  options: WaitOptions,
): Promise<ExitCode> {
  const { terminal } = context;
  const totalBytes = uploads.reduce((sum, { file }) => sum + file.sizeBytes, 0);
  const exits: ExitCode[] = [];
  let putCount = 0;
  for (let start = 0; start < uploads.length; start += BATCH_FILES) {
    const batch = uploads.slice(start, start + BATCH_FILES);
    const progress = uploadProgress(
      terminal,
      batch.reduce((sum, { file }) => sum + file.sizeBytes, 0),
    );
    const uploadOne = (upload: Upload): Promise<Uploaded | Refused> => putOne(context, upload, headersOf(upload.key), progress);
    const results = await mapBounded(batch, UPLOADS_AT_ONCE, uploadOne).finally(() => progress.stop());
    const uploaded = results.filter((result) => 'announcement' in result);
    for (const { error, file } of results.filter((result) => 'error' in result)) exits.push(reportRefusal(context, file, error));
    putCount += uploaded.length;
    exits.push(await report(context, uploaded, options));
  }
  terminal.line(`put ${count(putCount, 'file')} of ${uploads.length}, ${bytes(totalBytes)} in all`);
  return worstOf(exits);
}

async function putOne(
  { origin, terminal }: Context,
  { key, file }: Upload,
  headers: Record<string, string>,
  progress: UploadProgress,
): Promise<Uploaded | Refused> {
  try {
    const announcement = await origin.put(key, file, { headers, onBytes: (sizeBytes) => progress.add(sizeBytes) });
    if (!terminal.interactive) terminal.line(`put ${key}  ${bytes(file.sizeBytes)}  event ${announcement.id}`);
    return { key, file, announcement };
  } catch (error) {
    if (!(error instanceof CommandError) || error.exitCode === EXIT.UNREACHABLE) throw error;
    if (terminal.json) terminal.document({ key, file: file.path, error: { code: error.code, message: error.message } });
    return { key, file, error };
  }
}

function reportRefusal({ terminal }: Context, file: SourceFile, error: CommandError): ExitCode {
  terminal.error(`${visible(file.path)}: ${error.message}`);
  return EXIT.FAILED;
}

/** A JSON document per file; with `--wait` the sum of their distributions for people. */
async function report(context: Context, uploaded: readonly Uploaded[], { wait, timeout }: WaitOptions): Promise<ExitCode> {
  const { terminal } = context;
  const ids = uploaded.map(({ announcement }) => announcement.id);
  const waited = wait ? await waitForEvents(context, ids, timeout) : undefined;
  for (const [index, { key, file, announcement }] of uploaded.entries()) {
    const distribution = waited === undefined ? {} : { distribution: waited.states[index] ?? null, ...errorField(waited) };
    terminal.document({ key, file: file.path, sizeBytes: file.sizeBytes, ...announcement, ...distribution });
  }
  if (waited === undefined) return EXIT.OK;
  if (waited.failure === undefined) return reportSum(context, waited.states, timeout, 'file');
  terminal.error(waited.failure.message);
  return waited.failure.exitCode;
}
