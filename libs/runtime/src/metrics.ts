import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** An app's metrics: the process's own (memory, event loop lag, …) and what the app adds, all named `sluice_…`. */
export function createMetrics(app: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ app });
  // The default precision of 10 ms wakes every process a hundred times a second.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  return registry;
}

/** A counter that shows 0 from the start for each of its outcomes, so that a rate over it never begins with a gap. */
export function counter<Label extends string>(
  registry: Registry,
  name: string,
  help: string,
  label?: Label,
  values: readonly string[] = [],
): Counter<Label> {
  const created = new Counter<Label>({ name, help, labelNames: label === undefined ? [] : [label], registers: [registry] });
  if (label !== undefined) for (const value of values) created.inc({ [label]: value } as Record<Label, string>, 0);
  return created;
}

/** A counter whose numbers are kept somewhere else, and read when they are asked for. They must never go back. */
export function countedElsewhere(
  registry: Registry,
  name: string,
  help: string,
  read: () => readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[],
): void {
  const created = new Counter({
    name,
    help,
    labelNames: [...new Set(read().flatMap(({ labels }) => Object.keys(labels)))],
    registers: [registry],
    collect() {
      created.reset();
      for (const { labels, value } of read()) created.inc({ ...labels }, value);
    },
  });
}

/** A gauge that is read when it is asked for. */
export function gauge(registry: Registry, name: string, help: string, read: () => number): Gauge {
  return new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}

/** A histogram of durations in seconds. */
export function durationHistogram<Label extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly Label[] = [],
): Histogram<Label> {
  return new Histogram<Label>({
    name,
    help,
    labelNames,
    registers: [registry],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  });
}
