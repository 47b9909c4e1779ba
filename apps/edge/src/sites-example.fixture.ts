/** The example of a sites file that comes with Sluice. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

const EXAMPLE = resolve(import.meta.dirname, '../../../deploy/sites.example.yaml');

/** As it is: for an edge without TLS. */
export function sitesExample(): Promise<string> {
  return readFile(EXAMPLE, 'utf8');
}

/** With its settings for HTTPS switched on. The site `www` then has the certificate `certificates/www.example.com.{crt,key}` beside the file. */
export async function sitesExampleWithHttps(): Promise<string> {
  return (await sitesExample()).replace(/^ {4}# ((?: {2})?\w+:)/gm, '    $1');
}
