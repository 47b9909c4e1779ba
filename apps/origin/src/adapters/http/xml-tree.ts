/** Reads an XML document into elements by name: strict XML 1.0, but no document types, no entities but XML's own five, and no attributes. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import sax, { type SAXParser } from 'sax';

/** Deeper than any document of the API. */
const DEPTH_MAX = 8;
/** More than any document of the API has: 10,000 parts of a number, an ETag and five checksums. */
export const ELEMENTS_MAX = 80_001;
/** What may come behind `<!` is known by then: `--`, `[CDATA[` and `DOCTYPE` are whole. */
const DECLARATION_MAX_CHARACTERS = 7;
/** Characters that are read before others have their turn: a millisecond or two. */
const SLICE_CHARACTERS = 16 * 1024;

/** Characters that XML 1.0 does not have and keys of S3 do: they come as references, as they are written in answers. */
const FOREIGN = [...Array(32).keys(), 0xfffe, 0xffff].map((code) => [code, String.fromCharCode(code)] as const);
/** Without a prototype, or `&constructor;` would be one. */
const ENTITIES: Readonly<Record<string, string>> = Object.assign(
  Object.create(null) as Record<string, string>,
  { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" },
  Object.fromEntries(
    FOREIGN.flatMap(([code, character]) => [
      [`#${code}`, character],
      [`#x${code.toString(16)}`, character],
    ]),
  ),
);

/** The text of an element without children, else its children by name; an array where there are several of a name, or may be. */
export type XmlValue = string | { readonly [name: string]: XmlValue | readonly XmlValue[] };

interface OpenElement {
  readonly name: string;
  text: string;
  children: Record<string, XmlValue | XmlValue[]> | undefined;
}

/**
 * The root element. `lists`: names of which there may be several, so that even one is an array. Long documents are read in turns with whatever else there is to do.
 * @throws {Error} saying what is wrong, in words for who wrote it
 */
export async function readTree(text: string, root: string, lists: readonly string[]): Promise<XmlValue> {
  const tree = new TreeBuilder(root, new Set(lists));
  // Ends of lines are one character, whatever they were (XML 1.0 §2.11).
  const normal = text.replace(/\r\n?/g, '\n');
  for (let start = 0; start < normal.length; start += SLICE_CHARACTERS) {
    if (start > 0) await nextTurn();
    tree.write(normal.slice(start, start + SLICE_CHARACTERS));
  }
  return tree.finish();
}

class TreeBuilder {
  readonly #root: string;
  readonly #lists: ReadonlySet<string>;
  readonly #open: OpenElement[] = [];
  /** `sgmlDecl`: what came behind `<!`, until it is known what it is; its types do not know of it. */
  readonly #parser: SAXParser & { readonly sgmlDecl: string };
  #elements = 0;
  #value: XmlValue | undefined;

  constructor(root: string, lists: ReadonlySet<string>) {
    this.#root = root;
    this.#lists = lists;
    this.#parser = Object.assign(sax.parser(true, { position: false }) as SAXParser & { readonly sgmlDecl: string }, { ENTITIES });
    this.#parser.onopentag = ({ name }) => this.#begin(withoutPrefix(name));
    this.#parser.onclosetag = () => this.#end();
    this.#parser.ontext = this.#parser.oncdata = (text) => {
      const element = this.#open.at(-1);
      if (element !== undefined) element.text += text;
    };
    this.#parser.ondoctype = () => {
      throw new Error('a document type is not possible');
    };
    this.#parser.onerror = ({ message }) => {
      const [what = ''] = message.split('\n');
      throw new Error(/entity/i.test(what) ? `${what}; write "&" as "&amp;"` : what);
    };
  }

  /** For each character behind `<!` the parser looks anew at all that came since: 80,000 of them took a minute. So it gets no more than can be the beginning of something. */
  write(text: string): void {
    // The piece before may have ended inside of one.
    let end = Math.min(DECLARATION_MAX_CHARACTERS, text.length);
    for (let start = 0; start < text.length; start = end) {
      if (start > 0) {
        const at = text.indexOf('<!', start);
        end = at === -1 ? text.length : Math.min(at + 2 + DECLARATION_MAX_CHARACTERS, text.length);
      }
      this.#parser.write(text.slice(start, end));
      if (this.#parser.sgmlDecl.length >= DECLARATION_MAX_CHARACTERS) throw new Error('only <![CDATA[ and comments may begin with <!');
    }
  }

  finish(): XmlValue {
    this.#parser.close();
    return this.#value ?? this.#noRoot();
  }

  #begin(name: string): void {
    this.#elements += 1;
    if (this.#elements > ELEMENTS_MAX) throw new Error(`there may be at most ${ELEMENTS_MAX} elements`);
    if (this.#open.length === 0 && (name !== this.#root || this.#value !== undefined)) this.#noRoot();
    if (this.#open.length > DEPTH_MAX) throw new Error(`elements may be nested ${DEPTH_MAX} deep`);
    this.#open.push({ name, text: '', children: undefined });
  }

  #end(): void {
    const { name, text, children } = this.#open.pop() as OpenElement;
    if (!text.isWellFormed()) throw new Error('a character reference is no character; write "&" as "&amp;"');
    const value = children ?? text;
    const parent = this.#open.at(-1);
    if (parent === undefined) {
      this.#value = value;
      return;
    }
    // Without a prototype no name means anything but a child.
    parent.children ??= Object.create(null) as NonNullable<OpenElement['children']>;
    const before = parent.children[name];
    if (Array.isArray(before)) before.push(value);
    else if (before !== undefined) parent.children[name] = [before, value];
    else parent.children[name] = this.#lists.has(name) ? [value] : value;
  }

  #noRoot(): never {
    throw new Error(`the root element must be ${this.#root}`);
  }
}

function withoutPrefix(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}
