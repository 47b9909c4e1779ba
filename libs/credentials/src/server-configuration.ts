/** The configuration of nats-server, as text. Pure: who the users are is decided elsewhere. */
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

# Several brokers that are one: each with a server_name of its own, and
# server_name: nats-1
# cluster { … }
`;
}
