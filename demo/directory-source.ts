/** Files of a directory as the content: nothing is uploaded, and nothing is told. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Stage, type Visit } from './stage.ts';

const EDGES = ['us-1', 'eu-1', 'in-1'] as const;
/** A program that writes slowly: more pieces than fit the time after which a file counts as complete. */
const PIECES = 8;
const PIECE_PAUSE_MS = 300;

export async function directorySource(stage: Stage): Promise<void> {
  const www = join(stage.stack.dataDir, 'www');
  await mkdir(www);
  await writeFile(join(www, 'index.html'), '<h1>From before</h1>');
  await using other = await Stage.open(join(stage.stack.dataDir, 'on-a-directory'), { path: www, bucket: 'site' });
  stage.note(`a second stack stands on the directory ${www}`);

  /** Waits until all edges serve it so; how long that took. */
  const follow = async (path: string, isSo: (visit: Visit) => boolean): Promise<string> => {
    const startedAt = performance.now();
    for (const edge of EDGES) {
      await other.until(`${path} at ${edge}`, async () => (isSo(await other.visit(edge, `site/${path}`)) ? true : undefined));
    }
    return `after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
  };
  const has = (text: string) => (visit: Visit) => visit.body.toString() === text;

  stage.check(true, 'every edge serves the file that was there', await follow('index.html', has('<h1>From before</h1>')));
  await writeFile(join(www, 'news.html'), 'first');
  stage.check(true, 'every edge serves a file that is written', await follow('news.html', has('first')));
  await writeFile(join(www, 'news.html'), 'second');
  stage.check(true, 'every edge serves it as it is changed', await follow('news.html', has('second')));
  await halfWritten(stage, other, join(www, 'news.html'));
  await rm(join(www, 'news.html'));
  stage.check(true, 'removed, it is gone from every edge', await follow('news.html', ({ status }) => status === 404));
}

/** While a file is being written over, every visitor gets the whole of what it was. */
async function halfWritten(stage: Stage, other: Stage, path: string): Promise<void> {
  const pieces = Array.from({ length: PIECES }, () => randomBytes(20_000));
  const whole = Buffer.concat(pieces);
  const file = await open(path, 'w');
  let early = 0;
  let visits = 0;
  for (const piece of pieces) {
    await file.write(piece);
    await new Promise((resolve) => setTimeout(resolve, PIECE_PAUSE_MS));
    for (const edge of EDGES) {
      visits += 1;
      if ((await other.visit(edge, 'site/news.html')).body.toString() !== 'second') early += 1;
    }
  }
  await file.close();
  stage.check(early === 0, 'while it is being written over, the edges serve what it was', `${visits} visits in ${PIECES} pieces`);
  for (const edge of EDGES) {
    await other.until(`the whole of it at ${edge}`, async () => {
      const { body } = await other.visit(edge, 'site/news.html');
      if (!body.equals(whole) && body.toString() !== 'second')
        throw new Error(`${edge} served ${body.byteLength} B that never were a whole file`);
      return body.equals(whole) ? true : undefined;
    });
  }
  stage.check(true, 'and then the whole of it', `${whole.byteLength} B`);
}
