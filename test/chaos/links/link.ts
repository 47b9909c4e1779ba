/** The way from one process to a service: what a network may do to it. */
export interface Link {
  /** Who connects, and to what: `edge us-1 → broker`, `edges → origin`. */
  readonly name: string;
  /** Host and port that the client connects to instead of the service itself. */
  readonly host: string;
  readonly port: number;
  /** Ends every connection at once (RST); new ones are refused until {@link heal}. */
  cut(): Promise<void>;
  /** Nothing passes either way, not even an end; connections stay open. What was on its way may arrive after {@link heal}. */
  blackhole(): Promise<void>;
  /** The service's connections are reset, the client hears nothing of that before {@link heal}. Undefined: this kind of link cannot do that. */
  halfOpen?(): Promise<void>;
  /** Added to each way, milliseconds. */
  delay(ms: number): Promise<void>;
  /** Of each way, shared by all connections. */
  limit(bytesPerSecond: number): Promise<void>;
  /** The share of packets that get lost, 0 to 1. Undefined: this kind of link cannot lose packets. */
  lose?(share: number): Promise<void>;
  /** As if nothing had been. */
  heal(): Promise<void>;
}

/** Makes links. The world asks for one for each process and service before it starts the process. */
export interface Wiring extends AsyncDisposable {
  /** `client`: the process's name in the stack (`origin`, `controller-2`, `edge us-1`); `edges` for what all edges share. */
  link(client: string, service: 'broker' | 'origin', target: { readonly host: string; readonly port: number }): Promise<Link>;
}
