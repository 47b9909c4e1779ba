/**
 * Runs one exchange with the broker under a label (`NATS_REQUEST:edge.push`). A real connection just runs it; a test passes its own to fail or
 * kill exactly one exchange, as it does with the operations of a disk.
 */
export type Operate = <Result>(label: string, exchange: () => Result) => Result;

export const operate: Operate = (_label, exchange) => exchange();

/** Subjects that have the id of an edge or an origin inside. */
const OF_ONE = /^(edge|origin)\.[^.]+\.(\w+)$/;
const REGISTRATION = /^(controller\.register)\.[^.]+$/;

/** A subject as it stands in a label: the same for every edge and origin. */
export function subjectInLabel(subject: string): string {
  return subject.replace(OF_ONE, '$1.$2').replace(REGISTRATION, '$1');
}
