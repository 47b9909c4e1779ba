/** Configuration files: whoever writes them means well, and types what one types. */
import { ConfigError } from '@sluice/runtime';
import { parseSites } from '../../../apps/edge/src/sites-config.ts';
import { parseBuckets } from '../../../apps/origin/src/buckets-config.ts';
import { parseKeys } from '../../../apps/origin/src/keys-config.ts';
import { parseSourceRules } from '../../../apps/origin/src/source-rules-config.ts';
import { mutateText } from '../mutate.ts';
import { law, orRefusal, target } from '../target.ts';

const SECRET = 'Ab3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hJ';
const SITE_SECRET = 'c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA==';
/** Characters of a secret that must not be told: all of a short one, nearly all of a long one. */
const PIECE = 32;
const FILES = {
  buckets:
    'others: { versionsKept: 3 }\nbuckets:\n  site: { regions: [US, IN], tags: [a], cacheControl: "max-age=60" }\n  media:\n    cdnCacheControl: max-age=5\n',
  keys: `keys:\n  - accessKeyId: OWNER\n    secretAccessKey: ${SECRET}\n    rights: { "*": [read, write, delete, list, invalidate] }\n`,
  sites: `sites:\n  - name: www\n    hosts: [www.example.com, "*.example.com"]\n    bucket: site\n    index: index.html\n    headers: { X-A: b }\n    cors: { origins: [https://a.example] }\n    signedUrls: { keys: { k1: ${SITE_SECRET} } }\ndefault: www\n`,
  rules: 'rules:\n  - path: "**/*.js"\n    cacheControl: max-age=60\n    meta: { a: b }\n  - path: [a/*, "b?/[c]"]\n    ignore: true\n',
};
type Kind = keyof typeof FILES;
const WORDS = [
  '\n',
  '  ',
  '- ',
  ': ',
  '{',
  '}',
  '[',
  ']',
  '&a ',
  '*a',
  '<<: ',
  '!!js/function ',
  '!!binary ',
  '"',
  "'",
  '#',
  '|',
  '>',
  '%YAML 1.1\n',
  '---\n',
  '...\n',
  '__proto__: ',
  '? ',
  '~',
  'null',
  '.inf',
  '0x10',
  '\t',
  '?',
  '**',
  '((',
  '!(',
  '@(',
  '{1..9}',
];

export const configFiles = target({
  name: 'config-files',
  law: 'a configuration file is used, or refused with its problems; one with secrets is never quoted',
  make: (random) => {
    const kind = random.pick(Object.keys(FILES) as Kind[]);
    return { kind, text: mutateText(random, FILES[kind], WORDS) };
  },
  check({ kind, text }) {
    const read = orRefusal<unknown>(() => {
      if (kind === 'buckets') return parseBuckets(text, 1);
      if (kind === 'keys') return parseKeys(text);
      return kind === 'sites' ? parseSites(text) : parseSourceRules(text);
    }, [ConfigError]);
    law(({} as { polluted?: unknown }).polluted === undefined, () => 'every object has what came as __proto__');
    if (!(read instanceof Error)) return;
    const secret = kind === 'keys' ? SECRET : SITE_SECRET;
    // A piece of one that has become the name of a setting, in a file that is beyond reading, may be named.
    for (let at = 0; at + PIECE <= secret.length; at += 1)
      law(!read.message.includes(secret.slice(at, at + PIECE)), () => 'a refusal quotes a secret');
  },
});
