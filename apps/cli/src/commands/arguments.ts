/** Options that several commands take, and how their text is read. */
import { contentKey, fieldValue, LIST_MAX_ITEMS, region, tag } from '@sluice/contracts';
import { Option } from 'commander';
import { z } from 'zod';
import { parsedBy } from '../config.ts';

const DEFAULT_TIMEOUT_S = 60;
const DAY_S = 86_400;

function nameList(item: z.ZodType<string, string>) {
  return z
    .string()
    .transform((text) => text.split(',').map((name) => name.trim()))
    .pipe(z.array(item).max(LIST_MAX_ITEMS, `must name at most ${LIST_MAX_ITEMS}`))
    .transform((names) => [...new Set(names)]);
}

/** Only what an HTTP header can carry: the tags travel in one. */
const headerTag = tag.and(fieldValue) as unknown as z.ZodType<string, string>;

const timeout = z
  .string()
  .regex(/^\d{1,5}(\.\d+)?$/, 'must be a number of seconds')
  .transform(Number)
  .refine((seconds) => seconds <= DAY_S, `must be at most ${DAY_S} seconds`)
  .transform((seconds) => seconds * 1000);

export const regionsParser = parsedBy(nameList(region));
export const tagsParser = parsedBy(nameList(headerTag));
export const fieldParser = parsedBy(fieldValue);
export const keyParser = parsedBy(contentKey);
export const tagParser = parsedBy(tag);

/** A whole number from 1 up. */
export const countParser = parsedBy(
  z
    .string()
    .regex(/^[1-9]\d{0,8}$/, 'must be a whole number from 1')
    .transform(Number),
);

export interface WaitOptions {
  readonly wait?: boolean;
  /** Milliseconds. */
  readonly timeout: number;
}

export function waitOptions(): Option[] {
  return [
    new Option('--wait', 'wait until every live edge has it'),
    new Option('--timeout <seconds>', 'longest wait')
      .default(DEFAULT_TIMEOUT_S * 1000, String(DEFAULT_TIMEOUT_S))
      .argParser(parsedBy(timeout)),
  ];
}
