import { expect, test } from 'vitest';
import { permissionsOf, usersConfiguration } from './mod.ts';

test('users become text that names their public keys and what each may do', () => {
  const configuration = usersConfiguration([
    { name: 'edge us-1', publicKey: 'UEDGE', permissions: permissionsOf({ role: 'edge', id: 'us-1' }) },
    { name: 'console', publicKey: 'UCONSOLE', permissions: permissionsOf({ role: 'console' }) },
  ]);
  expect(configuration).toBe(`# Written by "sluice credentials" and overwritten by it. Only public keys are in here.
authorization {
  # A busy machine may be slow to answer.
  timeout: 10
  users: [
    # edge us-1
    {
      nkey: UEDGE
      permissions: {
        publish: { allow: ["edge.us-1.heartbeat", "controller.register.us-1", "origin.fetch", "origin.changes"] }
        subscribe: { allow: ["edge.us-1.push", "_INBOX.edge.us-1.>"] }
        allow_responses: { max: 1, expires: "30m" }
      }
    }
    # console
    {
      nkey: UCONSOLE
      permissions: {
        publish: { deny: [">"] }
        subscribe: { allow: ["content.>", "edge.*.heartbeat", "origin.*.heartbeat"] }
      }
    }
  ]
}
`);
});

test('no two edges share a subject that one listens on or speaks as', () => {
  const [one, other] = ['us-1', 'us-2'].map((id) => permissionsOf({ role: 'edge', id }));
  const shared = (a: readonly string[] = [], b: readonly string[] = []) => a.filter((subject) => b.includes(subject));
  expect(shared(one?.subscribe, other?.subscribe)).toEqual([]);
  expect(shared(one?.publish, other?.publish)).toEqual(['origin.fetch', 'origin.changes']);
});
