/** Dates in fields: RFC 9110 §5.6.7. Whoever receives one takes all three forms, whoever sends one sends the first. */

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const TIME = '(\\d{2}):(\\d{2}):(\\d{2})';
const IMF_FIXDATE = new RegExp(`^(?:${DAYS.join('|')}), (\\d{2}) (${MONTHS.join('|')}) (\\d{4}) ${TIME} GMT$`);
const RFC_850 = new RegExp(
  `^(?:Sunday|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday), (\\d{2})-(${MONTHS.join('|')})-(\\d{2}) ${TIME} GMT$`,
);
const ASCTIME = new RegExp(`^(?:${DAYS.join('|')}) (${MONTHS.join('|')}) ([ \\d]\\d) ${TIME} (\\d{4})$`);

/** `Sun, 06 Nov 1994 08:49:37 GMT`. */
export function formatHttpDate(ms: number): string {
  return new Date(ms).toUTCString();
}

/**
 * Milliseconds since the epoch of an HTTP-date in any of its three forms, undefined for anything else: a field with such a value is ignored.
 * A two-digit year that would be more than 50 years after `nowMs` is one of the past.
 */
export function parseHttpDate(value: string | undefined, nowMs = Date.now()): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  const fixed = IMF_FIXDATE.exec(text);
  if (fixed !== null) return instant(Number(fixed[3]), fixed[2], Number(fixed[1]), fixed.slice(4, 7));
  const asctime = ASCTIME.exec(text);
  if (asctime !== null) return instant(Number(asctime[6]), asctime[1], Number(asctime[2]), asctime.slice(3, 6));
  const rfc850 = RFC_850.exec(text);
  if (rfc850 === null) return undefined;
  return instant(fullYear(Number(rfc850[3]), nowMs), rfc850[2], Number(rfc850[1]), rfc850.slice(4, 7));
}

function fullYear(twoDigits: number, nowMs: number): number {
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + 50 ? year - 100 : year;
}

function instant(year: number, monthName: string | undefined, day: number, time: readonly (string | undefined)[]): number | undefined {
  const month = MONTHS.indexOf(monthName ?? '');
  const [hours = 0, minutes = 0, seconds = 0] = time.map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  const exists = date.getUTCMonth() === month && date.getUTCDate() === day;
  // A leap second is allowed by the grammar; it counts as the last second of its minute.
  return exists && hours < 24 && minutes < 60 && seconds <= 60 ? date.setUTCHours(hours, minutes, Math.min(seconds, 59)) : undefined;
}
