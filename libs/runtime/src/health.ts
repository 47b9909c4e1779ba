import type { Registry } from 'prom-client';
import type { AdminRefusal } from './admin-access.ts';

/** One thing an app needs to do its job. */
interface Condition {
  readonly name: string;
  /** Undefined when met, else why not. */
  readonly problem: () => string | undefined;
}

/** Readiness: all conditions that the app's parts have named. */
export class Readiness {
  readonly #conditions: Condition[] = [];
  readonly #notes: Condition[] = [];

  /** `problem` returns undefined when the condition is met, else the reason in words. */
  require(name: string, problem: () => string | undefined): void {
    this.#conditions.push({ name, problem });
  }

  /** Something that people have to know of and that does not keep the app from its job. `problem` as for {@link require}. */
  note(name: string, problem: () => string | undefined): void {
    this.#notes.push({ name, problem });
  }

  /** What people have to know of. */
  warnings(): Record<string, string> {
    return reasonsOf(this.#notes);
  }

  /** The conditions that are not met. Empty = ready. */
  problems(): Record<string, string> {
    return reasonsOf(this.#conditions);
  }
}

function reasonsOf(conditions: readonly Condition[]): Record<string, string> {
  return Object.fromEntries(
    conditions.flatMap(({ name, problem }) => {
      const reason = problem();
      return reason === undefined ? [] : [[name, reason]];
    }),
  );
}

export interface OperationsReply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** The value of `WWW-Authenticate`, with a 401. */
  readonly challenge?: string;
}

const OPERATIONS_PATHS: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);
const LONGEST_CHARACTERS = '/healthz'.length;

/** Whether {@link answerOperations} answers this path. */
export function isOperationsPath(path: string): boolean {
  return path.length <= LONGEST_CHARACTERS && OPERATIONS_PATHS.has(path);
}

/**
 * The three paths that every app answers: `/healthz` (alive), `/readyz` (doing its job, else 503 with the reasons) and `/metrics`
 * (Prometheus text). Undefined for any other path, at once: nearly every request is for one. `refusal`: what speaks against the one who asks; then there are no metrics,
 * and of the reasons only which parts they are about.
 */
export function answerOperations(
  path: string,
  readiness: Readiness,
  metrics: Registry,
  refusal?: AdminRefusal | undefined,
): Promise<OperationsReply> | undefined {
  switch (path) {
    case '/healthz':
      return Promise.resolve({ status: 200, contentType: 'application/json', body: '{"alive":true}\n' });
    case '/readyz':
      return Promise.resolve(readyReply(readiness, refusal !== undefined));
    case '/metrics':
      if (refusal !== undefined) return Promise.resolve(refusalReply(refusal));
      return metrics.metrics().then((body) => ({ status: 200, contentType: metrics.contentType, body }));
    default:
      return undefined;
  }
}

/** What whoever may not use an administrative interface is told, in JSON. */
export function refusalReply({ status, code, message, challenge }: AdminRefusal): OperationsReply {
  const body = `${JSON.stringify({ error: { code, message } })}\n`;
  return { status, contentType: 'application/json', body, ...(challenge !== undefined && { challenge }) };
}

/** `isShort`: for who may not know more, as a load balancer: of what is missing only the names. */
function readyReply(readiness: Readiness, isShort: boolean): OperationsReply {
  const problems = readiness.problems();
  const unmet = Object.keys(problems);
  const ready = unmet.length === 0;
  const warnings = isShort ? {} : readiness.warnings();
  const reasons = isShort ? { unmet } : { problems };
  const body = { ready, ...(ready ? {} : reasons), ...(Object.keys(warnings).length === 0 ? {} : { warnings }) };
  return { status: ready ? 200 : 503, contentType: 'application/json', body: `${JSON.stringify(body)}\n` };
}
