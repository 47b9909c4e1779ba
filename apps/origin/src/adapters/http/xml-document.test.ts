import fc from 'fast-check';
import { XMLBuilder } from 'fast-xml-parser';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { parseXml } from './xml-body.ts';
import { type XmlContent, type XmlParent, xmlElement } from './xml-document.ts';

/** A general builder, asked for what this one writes. */
const builder = new XMLBuilder();

const name = fc.stringMatching(/^[A-Z][A-Za-z]{0,8}$/);
const text = fc.string({ unit: fc.constantFrom('a', ' ', '&', '<', '>', '"', "'", ']', 'é', '\u{1f600}') });
const { parent } = fc.letrec<{ content: XmlContent; parent: XmlParent }>((tie) => ({
  content: fc.oneof({ depthSize: 'small' }, text, fc.integer(), fc.boolean(), tie('parent')),
  parent: fc.dictionary(name, fc.oneof(tie('content'), fc.array(tie('content'), { maxLength: 3 }), fc.constant(undefined)), {
    maxKeys: 4,
    noNullPrototype: true,
  }),
}));

test('elements are written as a general builder writes them', () => {
  fc.assert(
    fc.property(parent, (content) => {
      expect(xmlElement('Root', content)).toBe(builder.build({ Root: content }));
    }),
  );
});

test('any text comes back as it was, whatever is in it', async () => {
  const schema = z.object({ Text: z.string() });
  // Those that no reference can name in XML 1.0 come back from readers that are as patient as this one.
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), async (written) => {
      const xml = Buffer.from(xmlElement('Root', { Text: written }));
      expect((await parseXml(xml, { root: 'Root', schema, lists: [] })).Text).toBe(written);
    }),
  );
});

test.each<[XmlContent, string]>([
  [{ A: '\r\n\t\u0001\u007f\uffff' }, '<R xmlns="http://n/?a&amp;b"><A>&#13;&#10;&#9;&#1;&#127;&#65535;</A></R>'],
  [{ A: [], B: {}, C: undefined, D: '' }, '<R xmlns="http://n/?a&amp;b"><B></B><D></D></R>'],
  ['EU', '<R xmlns="http://n/?a&amp;b">EU</R>'],
  ['', '<R xmlns="http://n/?a&amp;b"></R>'],
])('%j in a namespace', (content, xml) => expect(xmlElement('R', content, 'http://n/?a&b')).toBe(xml));
