/** The controller's HTTP API: which edges there are and what became of events. JSON, read only. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { eventId } from '@sluice/contracts';
import {
  type AdminRefusal,
  type AdminRule,
  answerOperations,
  continueInTurn,
  drainHttpServer,
  type OperationsReply,
  openSockets,
  type Readiness,
  type Registry,
  refusalReply,
} from '@sluice/runtime';
import { type Context, Hono } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { z } from 'zod';
import type { StatusView } from '../status.ts';

/** Time for running answers, which are short, after the end was announced. */
const DRAIN_MS = 2_000;
const LIST_DEFAULT = 50;
const LIST_MAX = 1_000;

const listQuery = z.object({
  limit: z.coerce.number('must be a number').int('must be a whole number').min(1).max(LIST_MAX).default(LIST_DEFAULT),
});

function failure(code: string, message: string): { error: { code: string; message: string } } {
  return { error: { code, message } };
}

function send(context: Context, { status, contentType, body, challenge }: OperationsReply): Response {
  const fields = { 'content-type': contentType, ...(challenge !== undefined && { 'www-authenticate': challenge }) };
  return context.body(body, status as ContentfulStatusCode, fields);
}

/** `refusalOf`: see `AdminAccess`. All but `/healthz` and what is short in `/readyz` is for who is not refused. */
export function createStatusApi(view: StatusView, readiness: Readiness, metrics: Registry, refusalOf: AdminRule): Hono {
  const api = new Hono();
  const refusalTo = ({ req }: Context): AdminRefusal | undefined =>
    refusalOf({ authorization: req.header('authorization'), host: req.header('host') });
  for (const path of ['/healthz', '/readyz', '/metrics']) {
    api.get(path, async (context) => {
      const reply = await answerOperations(path, readiness, metrics, refusalTo(context));
      return reply === undefined ? context.notFound() : send(context, reply);
    });
  }
  api.use(async (context, next) => {
    const refusal = refusalTo(context);
    if (refusal !== undefined) return send(context, refusalReply(refusal));
    await next();
  });
  api.get('/edges', (context) => context.json({ edges: view.edges() }));
  api.get('/distributions', (context) => {
    const query = listQuery.safeParse(context.req.query());
    if (!query.success) return context.json(failure('INVALID_REQUEST', `limit must be a whole number from 1 to ${LIST_MAX}`), 400);
    return context.json({ distributions: view.distributions(query.data.limit) });
  });
  api.get('/distributions/:id', (context) => {
    const id = eventId.safeParse(context.req.param('id'));
    const found = id.success ? view.distribution(id.data) : undefined;
    if (found !== undefined) return context.json(found);
    const message = 'no distribution of an event with this id is known; right after an upload it may not have been read yet';
    return context.json(failure('UNKNOWN_EVENT', message), 404);
  });
  api.notFound((context) => context.json(failure('NOT_FOUND', `there is nothing at ${context.req.path}`), 404));
  api.onError((_error, context) => context.json(failure('INTERNAL', 'the request failed inside the controller'), 500));
  return api;
}

/** Listens; resolves with the port in use and how to stop. @throws when the address is taken or not this machine's */
export async function serveStatusApi(
  api: Hono,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const server = createAdaptorServer({ fetch: api.fetch }) as Server;
  const sockets = openSockets(server);
  continueInTurn(server);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => drainHttpServer(server, DRAIN_MS, sockets),
  };
}
