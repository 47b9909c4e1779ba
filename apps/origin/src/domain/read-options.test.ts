import { expect, test } from 'vitest';
import { requestedPart, responseOverrides } from './read-options.ts';

const query = (text: string) => new URLSearchParams(text);

test('each of the six fields can be overridden, and no other', () => {
  const names = ['content-type', 'content-language', 'expires', 'cache-control', 'content-disposition', 'content-encoding'];
  const all = [...names, 'location', 'etag'].map((name) => `response-${name}=x`).join('&');
  expect(responseOverrides(query(all)).map(([name]) => name)).toEqual(names);
  expect(responseOverrides(query('response-content-disposition=attachment%3B%20filename%3D%22a.txt%22'))).toEqual([
    ['content-disposition', 'attachment; filename="a.txt"'],
  ]);
});

test.each(['%0d%0aset-cookie:x', '%E2%9C%93', 'x'.repeat(1025)])('%s is no value of a field', (value) => {
  const refusal = expect.objectContaining({ code: 'InvalidArgument', message: expect.stringContaining('response-content-type') });
  expect(() => responseOverrides(query(`response-content-type=${value}`))).toThrow(refusal);
});

test('a part has a number from 1 to 10,000 and is asked for without a range', () => {
  expect([requestedPart(query(''), 'bytes=0-'), requestedPart(query('partNumber=10000'), undefined)]).toEqual([undefined, 10_000]);
  for (const number of ['0', '10001', '-1', '1.5', '', 'x', '1e3']) {
    expect(() => requestedPart(query(`partNumber=${number}`), undefined)).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
  }
  expect(() => requestedPart(query('partNumber=1'), 'bytes=0-')).toThrow(expect.objectContaining({ code: 'InvalidRequest' }));
});
