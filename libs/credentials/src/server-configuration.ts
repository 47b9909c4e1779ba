/** The configuration of nats-server, as text. Pure: who the users are is decided elsewhere. */
import { isIPv6 } from 'node:net';
import type { User } from './permissions.ts';

/** An edge's push may bring a large object; what is answered is forgotten at once, whatever this says. */
const REPLY_EXPIRES = '30m';

/** The part that names the users. It is written anew whenever they change. */
export function usersConfiguration(users: readonly User[]): string {
  return `# Written by "sluice credentials" and overwritten by it. Only public keys are in here.
authorization {
  # A busy machine may be slow to answer.
  timeout: 10
  users: [
${users.map(userBlock).join('')}  ]
}
`;
}

function userBlock({ name, publicKey, permissions: { publish, subscribe, replies } }: User): string {
  return `    # ${name}
    {
      nkey: ${publicKey}
      permissions: {
        publish: ${allowed(publish)}
        subscribe: ${allowed(subscribe)}
${replies ? `        allow_responses: { max: 1, expires: "${REPLY_EXPIRES}" }\n` : ''}      }
    }
`;
}

/** An empty list of what is allowed would allow everything. */
function allowed(subjects: readonly string[]): string {
  if (subjects.length === 0) return '{ deny: [">"] }';
  return `{ allow: [${subjects.map((subject) => JSON.stringify(subject)).join(', ')}] }`;
}

/** The whole of it, around the users. Written once: what is added by hand stays. Its paths are seen from the directory that it is in. */
export function brokerConfiguration(storeDir: string): string {
  return `# A broker for Sluice. Start it in this directory: nats-server -c nats.conf
# Written once by "sluice credentials": what you change or add here stays. After a change, and after users came or went: nats-server --signal reload
port: 4222
jetstream: { store_dir: ${JSON.stringify(storeDir)} }

tls {
  cert_file: "server.pem"
  key_file: "server-key.pem"
  timeout: 10
}

include "users.conf"
`;
}

/**
 * Several servers that are one broker. The same for each of them; its name is given at the start. Who connects as a server has to show a certificate of the authority, and the broker alone has one
 * (nats-server: TLS of routes is always mutual).
 */
export function clusterConfiguration(hosts: readonly string[]): string {
  return `# One of several servers that are one broker. Start each in a copy of this directory: NATS_SERVER_NAME=<a name of its own> nats-server -c cluster.conf
# Written once by "sluice credentials --cluster": what you change or add here stays.
include "nats.conf"

# Not on the command line: a server that has its name from there does not reload (nats-server: "config reload not supported for ServerName").
server_name: $NATS_SERVER_NAME

cluster {
  name: sluice
  port: 6222
  tls {
    cert_file: "server.pem"
    key_file: "server-key.pem"
    ca_file: "ca.pem"
    timeout: 10
  }
  # One's own is ignored.
  routes: [
${hosts.map((host) => `    "nats-route://${isIPv6(host) ? `[${host}]` : host}:6222"\n`).join('')}  ]
}
`;
}
