import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseXml } from './xml-body.ts';
import { xmlElement } from './xml-document.ts';
import { ELEMENTS_MAX } from './xml-tree.ts';

const schema = z.object({
  Item: z
    .array(z.object({ Name: z.string().min(1) }))
    .max(3)
    .default([]),
});
const read = async (xml: string | Uint8Array) => {
  const list = await parseXml(typeof xml === 'string' ? Buffer.from(xml) : xml, { root: 'List', schema, lists: ['Item'] });
  return list.Item.map(({ Name }) => Name);
};
const item = (text: string) => `<Item><Name>${text}</Name></Item>`;
const refusal = (words: string) => expect.objectContaining({ code: 'MalformedXML', message: expect.stringContaining(words) });

describe('an XML body', () => {
  test.each([
    ['<List/>', []],
    ['<List></List>', []],
    [`<List>${item('a')}</List>`, ['a']],
    [`<?xml version="1.0" encoding="UTF-8"?>\n<List xmlns="http://x/">\n  ${item('a')}\n  ${item('b')}\n</List>\n`, ['a', 'b']],
    [`\ufeff<List>${item('a')}</List>`, ['a']],
    [`<s3:List xmlns:s3="x"><s3:Item><s3:Name>a</s3:Name></s3:Item></s3:List>`, ['a']],
    [`<List><Unknown><Name>x</Name></Unknown>${item(' 007 ')}</List>`, [' 007 ']],
    [`<List>${item('&amp;&lt;&gt;&quot;&apos;&#65;&#x1F600;&#13;&amp;lt;')}</List>`, ['&<>"\'A\u{1f600}\r&lt;']],
    [`<List>${item('a<![CDATA[<b>&amp;]]>c<!-- d -->')}</List>`, ['a<b>&amp;c']],
    [`<List>${item('true')}${item('1e3')}</List>`, ['true', '1e3']],
    [`<List><__proto__><Name>x</Name></__proto__>${item('a')}</List>`, ['a']],
    [`<List constructor="x">${item('a\r\nb\rc&#13;')}</List>`, ['a\nb\nc\r']],
    [`<List>${item('&#1;&#xFFFF;')}</List>`, ['\u0001\uffff']],
  ])('%s is read', (xml, names) => expect(read(xml)).resolves.toEqual(names));

  test.each([
    ['', ''],
    ['no XML', ''],
    ['{"List":1}', ''],
    ['<List>', ''],
    ['<List></Wrong>', ''],
    [`<List>${item('a')}</List><List/>`, ''],
    ['<Other/>', 'root element must be List'],
    [`<List>${item('a')}</List>text`, ''],
    ['<List/><Other/>', 'root element'],
    ['<List><Item/></List>', 'List.Item.0'],
    ['<List><Item>text</Item></List>', 'List.Item.0'],
    ['<List><Item><Name/></Item></List>', 'List.Item.0.Name'],
    ['<List><Item><Name>a</Name><Name>b</Name></Item></List>', 'List.Item.0.Name'],
    [`<List>${item('a').repeat(4)}</List>`, 'List.Item'],
    [`<List>${item('&foo;')}</List>`, '&amp;'],
    [`<List>${item('&nbsp;')}</List>`, '&amp;'],
    [`<List>${item('&')}</List>`, ''],
    [`<List>${item('&#x110000;')}</List>`, '&amp;'],
    [`<List>${item('&#xD800;')}</List>`, '&amp;'],
    [`<List>${item('&constructor;')}</List>`, '&amp;'],
    [`<!DOCTYPE List [<!ENTITY a "b">]><List>${item('&a;')}</List>`, 'document type'],
    [`<!doctype List SYSTEM "file:///etc/passwd"><List>${item('a')}</List>`, 'document type'],
    [`<List>${'<a>'.repeat(9)}${'</a>'.repeat(9)}</List>`, 'nested'],
  ])('%s is refused', (xml, words) => expect(read(xml)).rejects.toEqual(refusal(words)));

  test('a long one is read in turns with what else there is to do', async () => {
    const document = Buffer.from(`<List>${'<a/>'.repeat(ELEMENTS_MAX - 1)}</List>`);
    let turns = 0;
    let over = false;
    const others = (): void => {
      turns += 1;
      if (!over) setImmediate(others);
    };
    setImmediate(others);
    expect(await read(document)).toEqual([]);
    over = true;
    expect(turns).toBeGreaterThan(document.length / 32_768);
  });

  test('one of more elements than any document of the API has is refused', async () => {
    await expect(read(`<List>${'<a/>'.repeat(ELEMENTS_MAX)}</List>`)).rejects.toEqual(refusal(`at most ${ELEMENTS_MAX} elements`));
  });

  test('what begins like a declaration and has no end is refused at once, wherever a piece of it ends', async () => {
    for (const before of ['', ' '.repeat(16 * 1024 - '<List><!['.length), ' '.repeat(16 * 1024 - '<List><'.length)]) {
      // Read to its end, this took hours.
      const endless = `<List>${before}<![C${'}'.repeat(1_000_000)}`;
      await expect(read(endless)).rejects.toEqual(refusal('<![CDATA['));
    }
    const shifted = (shift: number) => `<List>${' '.repeat(16 * 1024 - shift)}${item('<![CDATA[<!x<!y]]><!-- <!z -->')}</List>`;
    for (let shift = 10; shift < 60; shift += 1) expect(await read(shifted(shift))).toEqual(['<!x<!y']);
  });

  test('entities that multiply are refused as fast as they come', async () => {
    const levels = Array.from({ length: 30 }, (_, level) => `<!ENTITY e${level + 1} "${`&e${level};`.repeat(10)}">`);
    const document = `<!DOCTYPE x [<!ENTITY e0 "boom">${levels.join('')}]><List>${item('&e30;')}</List>`;
    await expect(read(document)).rejects.toEqual(refusal('document type'));
  });

  test('bytes that are no UTF-8 are refused', async () => {
    const document = Buffer.concat([Buffer.from('<List><Item><Name>'), Buffer.of(0xff), Buffer.from('</Name></Item></List>')]);
    await expect(read(document)).rejects.toEqual(refusal(''));
  });

  test('whatever text is written comes back', async () => {
    const text = fc.string({
      unit: fc.oneof(
        fc.constantFrom(' ', '\r', '\n', '\t', '&', '<', '\uffff', '\u0001'),
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
      ),
      minLength: 1,
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(text, { maxLength: 3 }), async (names) => {
        expect(await read(xmlElement('List', { Item: names.map((Name) => ({ Name })) }))).toEqual(names);
      }),
    );
  });

  test('whatever comes is read or refused with the code that clients know', async () => {
    const part = fc.constantFrom(
      '<List>',
      '</List>',
      '<Item>',
      '</Item>',
      '<Name>',
      '</Name>',
      '<',
      '>',
      '&',
      ';',
      '"',
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      'a',
      '\0',
      '<?',
      '?>',
      '<!DOCTYPE',
      'é',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 20 }), async (parts) => {
        try {
          await read(parts.join(''));
        } catch (error) {
          expect(error).toMatchObject({ code: 'MalformedXML', status: 400 });
        }
      }),
      { numRuns: 1000 },
    );
  });
});
