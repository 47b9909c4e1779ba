import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseXml } from './xml-body.ts';
import { xmlElement } from './xml-document.ts';

const schema = z.object({
  Item: z
    .array(z.object({ Name: z.string().min(1) }))
    .max(3)
    .default([]),
});
const read = (xml: string | Uint8Array) =>
  parseXml(typeof xml === 'string' ? Buffer.from(xml) : xml, { root: 'List', schema, lists: ['Item'] }).Item.map(({ Name }) => Name);
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
  ])('%s is read', (xml, names) => expect(read(xml)).toEqual(names));

  test.each([
    ['', ''],
    ['no XML', ''],
    ['{"List":1}', ''],
    ['<List>', ''],
    ['<List></Wrong>', ''],
    [`<List>${item('a')}</List><List/>`, ''],
    ['<Other/>', 'root element must be List'],
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
    ['<List><__proto__><Name>x</Name></__proto__></List>', ''],
  ])('%s is refused', (xml, words) => expect(() => read(xml)).toThrow(refusal(words)));

  test('entities that multiply are refused as fast as they come', () => {
    const levels = Array.from({ length: 30 }, (_, level) => `<!ENTITY e${level + 1} "${`&e${level};`.repeat(10)}">`);
    expect(() => read(`<!DOCTYPE x [<!ENTITY e0 "boom">${levels.join('')}]><List>${item('&e30;')}</List>`)).toThrow(
      refusal('document type'),
    );
  });

  test('bytes that are no UTF-8 are refused', () => {
    expect(() => read(Buffer.concat([Buffer.from('<List><Item><Name>'), Buffer.of(0xff), Buffer.from('</Name></Item></List>')]))).toThrow(
      refusal(''),
    );
  });

  test('whatever text is written comes back', () => {
    const text = fc.string({
      unit: fc.oneof(
        fc.constantFrom(' ', '\r', '\n', '\t', '&', '<', '\uffff', '\u0001'),
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
      ),
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 3 }), (names) => {
        expect(read(xmlElement('List', { Item: names.map((Name) => ({ Name })) }))).toEqual(names);
      }),
    );
  });

  test('whatever comes is read or refused with the code that clients know', () => {
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
    fc.assert(
      fc.property(fc.array(part, { maxLength: 20 }), (parts) => {
        try {
          read(parts.join(''));
        } catch (error) {
          expect(error).toMatchObject({ code: 'MalformedXML', status: 400 });
        }
      }),
      { numRuns: 1000 },
    );
  });
});
