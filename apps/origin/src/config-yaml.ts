import { parseDocument } from 'yaml';

/** The value of a YAML text, `{}` when it is empty. `refuse` makes the error of its problems: their text quotes the file, so this is not for files with secrets. */
export function readYaml(text: string, refuse: (problems: readonly string[]) => Error): unknown {
  const document = parseDocument(text, { logLevel: 'error' });
  const problems = document.errors.map(({ message }) => message.split('\n')[0]?.replace(/:$/, '') ?? message);
  if (problems.length > 0) throw refuse(problems);
  try {
    return document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (error) {
    throw refuse([(error as Error).message]);
  }
}
