import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toS3Error } from '../../domain/s3-error.ts';
import { Exchange } from './exchange.ts';
import { readXmlBody } from './xml.ts';

const MAX_BYTES = 2 * 1024 ** 2;

/** Answers with what it has read. */
const server = createServer((request, response) => {
  const exchange = new Exchange(request, response, false);
  readXmlBody(exchange, MAX_BYTES).then(
    (document) => exchange.answerJson(200, document as object),
    (error) => exchange.answerJson(400, { code: toS3Error(error).code }),
  );
});
beforeAll(() => new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve)));
afterAll(() => server.close());

async function read(body: string | Uint8Array<ArrayBuffer> | ReadableStream): Promise<[status: number, document: unknown]> {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const answer = await fetch(url, { method: 'POST', body, duplex: 'half' } as RequestInit);
  return [answer.status, await answer.json()];
}
const REFUSED = [400, { code: 'MalformedXML' }];

describe('a document', () => {
  test('is read as text, without a guess at numbers and without losing white space', async () => {
    const [, document] = await read('<?xml version="1.0"?><A xmlns="x"><K> a </K><N>007</N><N>1e5</N><E/></A>');
    expect(document).toEqual({ A: { K: ' a ', N: ['007', '1e5'], E: '' } });
  });

  test('may have the five entities of XML and character references, each undone once', async () => {
    const [, document] = await read('<A>&lt;&gt;&amp;&quot;&apos;&#34;&#x22;&amp;lt;&#228;</A>');
    expect(document).toEqual({ A: `<>&"'""&lt;ä` });
  });

  test('whose text could be mistaken for a property of every object is none', async () => {
    expect(await read('<A><__proto__><x>1</x></__proto__></A>')).toEqual(REFUSED);
  });
});

describe('what is refused', () => {
  const bomb = `<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">${Array.from({ length: 9 }, (_, level) => `<!ENTITY a${level} "${`&a${level || ''};`.repeat(10)}">`).join('')}]><A>&a8;</A>`;
  test.each([
    ['nothing', ''],
    ['no XML', 'hello'],
    ['an element without its end', '<A><B></A>'],
    ['a bomb', bomb],
    ['an entity from outside', '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><A>&x;</A>'],
    ['character data that is marked', '<A><![CDATA[x]]></A>'],
    ['an entity that XML does not know', '<A>&copy;</A>'],
    ['a reference to no character', '<A>&#xFFFFFFFF;</A>'],
    ['a thousand elements in each other', '<A>'.repeat(1000) + '</A>'.repeat(1000)],
  ])('%s', async (_what, body) => expect(await read(body)).toEqual(REFUSED));

  test('bytes that are no UTF-8', async () => {
    expect(await read(Buffer.from('3c413ee43c2f413e', 'hex'))).toEqual(REFUSED);
  });

  test('more bytes than the bound, announced or not, and 10 MB', async () => {
    const document = (size: number) => Buffer.from(`<A>${'x'.repeat(size - 7)}</A>`);
    expect((await read(document(MAX_BYTES)))[0]).toBe(200);
    for (const size of [MAX_BYTES + 1, 10_000_000]) {
      expect(await read(document(size))).toEqual(REFUSED);
      expect(await read(new Blob([document(size)]).stream())).toEqual(REFUSED);
    }
  });
});

const PIECES = [
  '<',
  '<A',
  '<A b="',
  '<A b="c"/>',
  '&amp;',
  '&#34;',
  '<!--',
  '<!---->',
  '<![CDATA[',
  '</A>',
  '<?x ',
  '<?x ?>',
  '<A/>',
  ' ',
  ']]>',
  '"',
];
test.each(PIECES)(
  'the largest body made of "%s" does not keep the origin busy for long',
  async (piece) => {
    for (const [begin, end] of [
      ['', ''],
      ['<A>', '</A>'],
      ['<A ', '/>'],
    ] as const) {
      const body = begin + piece.repeat(Math.floor((MAX_BYTES - 7) / piece.length)) + end;
      const began = performance.now();
      await read(body);
      expect(performance.now() - began).toBeLessThan(4_000);
    }
  },
  20_000,
);
