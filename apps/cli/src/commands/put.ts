import { contentType } from 'mime-types';
import { listSource } from '../adapters/source-files.ts';
import { directoryPrefix, fileKey, keyFileName, requireKey } from '../domain/content-path.ts';
import { CommandError, type ExitCode, usageError } from '../domain/failure.ts';
import { uploadProgress } from '../render/progress.ts';
import { bytes } from '../render/quantity.ts';
import { fieldParser, regionsParser, tagsParser, type WaitOptions, waitOptions } from './arguments.ts';
import type { AddCommand, Context } from './context.ts';
import { finishChange } from './distribution-wait.ts';
import { putAll, type Upload } from './put-directory.ts';

export interface PutOptions extends WaitOptions {
  readonly regions?: readonly string[];
  readonly tags?: readonly string[];
  readonly cacheControl?: string;
  readonly cdnCacheControl?: string;
  readonly contentType?: string;
}

/** Asking for the live edges is a courtesy; a controller that is away must not hold up an upload. */
const EDGES_TIMEOUT_MS = 1_000;
/** Problems shown of a directory whose names cannot be keys. */
const PROBLEMS_SHOWN = 10;

export const addPut: AddCommand = (program, run) => {
  const command = program
    .command('put')
    .description('upload a file, or every file below a directory')
    .argument('<source>', 'file or directory')
    .argument('<destination>', '<bucket>/<path>; with a "/" at the end a file keeps its name; a directory’s files go below it')
    .option(
      '--regions <list>',
      'send it to edges of these regions only, such as US,IN; others fetch it when asked for it (default: everywhere)',
      regionsParser,
    )
    .option('--tags <list>', 'tags to invalidate it by, such as v41,home', tagsParser)
    .option('--cache-control <value>', 'Cache-Control for visitors', fieldParser)
    .option('--cdn-cache-control <value>', 'CDN-Cache-Control, for the edges alone', fieldParser)
    .option('--content-type <type>', 'Content-Type (default: by the file’s extension)', fieldParser);
  for (const option of waitOptions()) command.addOption(option);
  command.action((source: string, destination: string, options: PutOptions) =>
    run(command, (context) => put(context, source, destination, options)),
  );
};

async function put(context: Context, source: string, destination: string, options: PutOptions): Promise<ExitCode> {
  const { files, isDirectory, skipped } = await listSource(source);
  if (isDirectory) {
    const uploads = directoryUploads(destination, files);
    if (uploads.length === 0) throw usageError(`there is no file below ${source}`);
    for (const reason of skipped) context.terminal.warn(`left out ${reason}`);
    const exitCode = await putAll(context, uploads, (key) => uploadHeaders(key, options), options);
    if (!options.wait) await warnOfEmptyRegions(context, options);
    return exitCode;
  }
  const [{ name, file }] = files as [(typeof files)[number]];
  const key = fileKey(destination, name);
  const progress = uploadProgress(context.terminal, file.sizeBytes);
  const announcement = await context.origin
    .put(key, file, { headers: uploadHeaders(key, options, name), onBytes: (sizeBytes) => progress.add(sizeBytes) })
    .finally(() => progress.stop());
  if (!options.wait) await warnOfEmptyRegions(context, options);
  const { sizeBytes } = file;
  const fields = { key, file: file.path, sizeBytes };
  return finishChange(context, { line: `put ${key}  ${bytes(sizeBytes)}`, fields, announcement }, options);
}

/** @throws {CommandError} usage, naming the files whose names cannot be keys; nothing was uploaded then */
function directoryUploads(destination: string, files: Awaited<ReturnType<typeof listSource>>['files']): Upload[] {
  const prefix = directoryPrefix(destination);
  const problems: string[] = [];
  const uploads = files.flatMap(({ name, file }) => {
    try {
      return [{ key: requireKey(prefix + name), file }];
    } catch (error) {
      problems.push((error as CommandError).message);
      return [];
    }
  });
  if (problems.length === 0) return uploads;
  const more = problems.length > PROBLEMS_SHOWN ? [`and ${problems.length - PROBLEMS_SHOWN} more`] : [];
  throw usageError(
    `nothing was put; rename these files first:\n${[...problems.slice(0, PROBLEMS_SHOWN), ...more].map((p) => `  ${p}`).join('\n')}`,
  );
}

function uploadHeaders(key: string, options: PutOptions, fileName = ''): Record<string, string> {
  const type = options.contentType ?? (contentType(keyFileName(key)) || contentType(fileName));
  return {
    ...(type ? { 'content-type': type } : {}),
    ...(options.cacheControl === undefined ? {} : { 'cache-control': options.cacheControl }),
    ...(options.cdnCacheControl === undefined ? {} : { 'cdn-cache-control': options.cdnCacheControl }),
    ...(options.regions === undefined ? {} : { 'x-amz-meta-regions': options.regions.join(',') }),
    ...(options.tags === undefined ? {} : { 'x-amz-meta-tags': options.tags.join(',') }),
  };
}

async function warnOfEmptyRegions({ controller, terminal }: Context, { regions = [] }: PutOptions): Promise<void> {
  if (regions.length === 0) return;
  try {
    const live = new Set((await controller.edges(EDGES_TIMEOUT_MS)).map(({ region }) => region));
    const empty = regions.filter((region) => !live.has(region));
    if (empty.length > 0) terminal.warn(`no live edge in ${empty.join(', ')}: an edge that joins there later catches up by itself`);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
  }
}
