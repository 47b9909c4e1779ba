/** Header fields as an HTTP server gives them: lower-case names; several lines of one field as an array. */
export type Fields = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The value of a field; several lines are one list (RFC 9110 §5.3). Undefined when it is absent. */
export function fieldOf(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return value === undefined || typeof value === 'string' ? value : value.join(', ');
}

/** The members of a comma-separated list outside of quoted strings, trimmed, empty ones left out (RFC 9110 §5.6.1, §5.6.4). In linear time. */
export function listMembers(value: string): string[] {
  const members: string[] = [];
  let start = 0;
  let quoted = false;
  for (let at = 0; at <= value.length; at += 1) {
    const character = value[at];
    if (quoted && character === '\\') at += 1;
    else if (character === '"') quoted = !quoted;
    else if (character === undefined || (character === ',' && !quoted)) {
      const member = value.slice(start, at).trim();
      if (member !== '') members.push(member);
      start = at + 1;
    }
  }
  return members;
}
