/** What a service says in the body of an error answer. */

/** Longest message taken from an answer, in characters. */
const MESSAGE_MAX_CHARACTERS = 1000;

export interface ServiceError {
  readonly code: string;
  readonly message: string;
}

/**
 * The code and message of an error answer: S3's XML (`<Error><Code/><Message/></Error>`), Sluice's JSON (`{"error":{…}}`), or
 * whatever text there is. Never throws; control characters are taken out, so an answer cannot steer the terminal.
 */
export function readErrorBody(status: number, body: string): ServiceError {
  const found = fromJson(body) ?? fromXml(body);
  const message = clean(found?.message ?? (body.trimStart().startsWith('<') ? '' : body));
  return { code: clean(found?.code ?? '') || `HTTP_${status}`, message: message || `it answered with status ${status}` };
}

function fromJson(body: string): ServiceError | undefined {
  if (!body.trimStart().startsWith('{')) return undefined;
  try {
    const { error } = JSON.parse(body) as { error?: { code?: unknown; message?: unknown } };
    return typeof error?.message === 'string' ? { code: String(error.code ?? ''), message: error.message } : undefined;
  } catch {
    return undefined;
  }
}

function fromXml(body: string): ServiceError | undefined {
  const message = xmlText(body, 'Message');
  return message === undefined ? undefined : { code: xmlText(body, 'Code') ?? '', message };
}

/** The text of the first element of that name, which must have no children: all that S3's error documents need. */
function xmlText(xml: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return text?.replace(/&(?:(lt|gt|amp|quot|apos)|#(\d{1,7})|#x([0-9a-fA-F]{1,6}));/g, unescapeReference);
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function unescapeReference(reference: string, entity?: string, decimal?: string, hexadecimal?: string): string {
  if (entity !== undefined) return ENTITIES[entity] ?? reference;
  const codePoint = decimal === undefined ? Number.parseInt(hexadecimal ?? '', 16) : Number(decimal);
  return codePoint <= 0x10ffff ? String.fromCodePoint(codePoint) : reference;
}

function clean(text: string): string {
  return text
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, MESSAGE_MAX_CHARACTERS);
}
