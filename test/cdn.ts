/** Sluice as its users see it: upload, ask where it is, ask for it. */
import { type ContentDistributed, contentDistributed, type EdgeReport, edgeReport } from '@sluice/contracts';
import { expect } from 'vitest';

/** Uploads to `<origin>/<key>`. @returns the event's id and the version */
export async function upload(origin: string, key: string, body: Uint8Array, headers: Record<string, string> = {}) {
  const response = await fetch(`${origin}/${key}`, { method: 'PUT', body: Buffer.from(body), headers });
  expect(response.status, await response.text()).toBe(200);
  return { id: response.headers.get('x-sluice-event-id') as string, version: Number(response.headers.get('x-sluice-version')) };
}

/** Asks the origin to invalidate. @returns the event's id and the version */
export async function invalidate(origin: string, selector: object): Promise<{ id: string; version: number }> {
  const response = await fetch(`${origin}/-/invalidations`, { method: 'POST', body: JSON.stringify(selector) });
  expect(response.status).toBe(202);
  return (await response.json()) as { id: string; version: number };
}

/** The live edges, as the controller sees them. */
export async function edgesOf(controller: string): Promise<EdgeReport[]> {
  const { edges } = (await (await fetch(`${controller}/edges`)).json()) as { edges: unknown[] };
  return edges.map((edge) => edgeReport.parse(edge));
}

/** The outcome of an event. @throws while there is none */
export async function distributionOf(controller: string, id: string): Promise<ContentDistributed> {
  const response = await fetch(`${controller}/distributions/${id}`);
  const answer = (await response.json()) as { status?: string };
  expect(answer).toMatchObject({ status: 'distributed' });
  return contentDistributed.parse(answer);
}

/** A visitor's request. */
export async function get(edge: string, key: string): Promise<{ status: number; body: Buffer; cache: string }> {
  const response = await fetch(`${edge}/${key}`);
  return {
    status: response.status,
    body: Buffer.from(await response.arrayBuffer()),
    cache: response.headers.get('cache-status') ?? '',
  };
}

/** Asserts that an edge serves exactly these bytes. */
export async function expectServed(edge: string, key: string, content: Buffer): Promise<void> {
  const { status, body } = await get(edge, key);
  expect(status).toBe(200);
  expect(body.equals(content), 'the bytes that were uploaded').toBe(true);
}
