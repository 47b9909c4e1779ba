const lines = new Map<string, string[]>();

/** Notes how many crash points were struck; without a number, prints what was noted. */
export function report(app: string, strike?: string, count?: number, remark?: string): void {
  const noted = lines.get(app) ?? [];
  lines.set(app, noted);
  if (strike === undefined) process.stdout.write(`crash points of the ${app}: ${noted.join('; ')}\n`);
  else noted.push(`${count} ${strike}${remark === undefined ? '' : ` (${remark})`}`);
}
