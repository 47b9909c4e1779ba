/** The controller's status API. */
import type { IncomingMessage } from 'node:http';
import { edgeReport } from '@sluice/contracts';
import { z } from 'zod';
import { type DistributionState, distributionState } from '../domain/distribution-state.ts';
import { readAdminToken } from './admin-token.ts';
import { readJson, refusal, type Service, send } from './http-client.ts';

const REQUEST_TIMEOUT_MS = 10_000;

const edgeStatus = edgeReport.extend({
  leaseRemainingMs: z.number(),
  queued: z.int().nonnegative(),
  inFlight: z.int().nonnegative(),
  lastSeenAt: z.string(),
});
/** A live edge: its last report, its lease, and what the controller has for it. */
export type EdgeStatus = z.output<typeof edgeStatus>;
const edgesReply = z.object({ edges: z.array(edgeStatus) });

export class ControllerClient {
  readonly #service: Service;
  readonly #tokenFile: string | undefined;

  /** @param url without a slash at the end @param tokenFile holds a token for its administrative interface; read when something is asked */
  constructor(url: string, tokenFile?: string) {
    this.#service = { name: 'the controller', url, remedy: 'start one with "sluice up", or say where it is with --controller' };
    this.#tokenFile = tokenFile;
  }

  /** @throws {CommandError} */
  #get(path: string, timeoutMs: number): Promise<IncomingMessage> {
    const headers: Record<string, string> =
      this.#tokenFile === undefined ? {} : { authorization: `Bearer ${readAdminToken(this.#tokenFile)}` };
    return send(this.#service, { method: 'GET', path, headers, timeoutMs });
  }

  /** The live edges, by id. */
  async edges(timeoutMs = REQUEST_TIMEOUT_MS): Promise<EdgeStatus[]> {
    const response = await this.#get('/edges', timeoutMs);
    if (response.statusCode !== 200) throw await refusal(this.#service, response, 'list the edges');
    const { edges } = await readJson(this.#service, response, (value) => edgesReply.safeParse(value));
    return edges.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Where an event stands; undefined when the controller does not know it (yet, or any more). */
  async distribution(eventId: string): Promise<DistributionState | undefined> {
    const path = `/distributions/${encodeURIComponent(eventId)}`;
    const response = await this.#get(path, REQUEST_TIMEOUT_MS);
    if (response.statusCode === 404) {
      response.resume();
      return undefined;
    }
    if (response.statusCode !== 200) throw await refusal(this.#service, response, 'tell where the event stands');
    return readJson(this.#service, response, (value) => distributionState.safeParse(value));
  }
}
