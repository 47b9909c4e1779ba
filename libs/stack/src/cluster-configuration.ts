/** Where a nats-server stands in a cluster of them. All on loopback. */
export interface ClusterPlace {
  /** Its own name: with it, and its store, it comes back as the one that it was. */
  readonly serverName: string;
  /** Where the others connect to it. */
  readonly port: number;
  /** Where it says over HTTP how it is. */
  readonly monitorPort: number;
  /** The ports of all of them. */
  readonly routes: readonly number[];
}

/**
 * Its configuration file. The pings are for a server that hangs: until the others give its routes up, requests are sent to subscribers whom they believe there, and the default is
 * more than four minutes.
 */
export function clusterConfiguration({ serverName, port, monitorPort, routes }: ClusterPlace): string {
  return `server_name: ${serverName}
http: "127.0.0.1:${monitorPort}"
ping_interval: "2s"
ping_max: 2
cluster {
  name: sluice
  listen: "127.0.0.1:${port}"
  routes: [${routes.map((route) => `"nats://127.0.0.1:${route}"`).join(', ')}]
}
`;
}
