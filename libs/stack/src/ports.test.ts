import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { freePort } from './mod.ts';
import { requireFreePorts } from './ports.ts';

test('every port that cannot be had is named with the part that wants it, and port 0 always can', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const free = await freePort();
  const wanted = [
    { name: 'the origin', port },
    { name: 'the controller', port: free },
    { name: 'edge a', port: free },
    { name: 'edge b', port: 0 },
  ];
  await expect(requireFreePorts(wanted)).rejects.toMatchObject({
    taken: [
      { name: 'the origin', port },
      { name: 'edge a', port: free },
    ],
  });
  server.close();
  await new Promise((resolve) => server.once('close', resolve));
  await requireFreePorts(wanted.filter(({ name }) => name !== 'edge a'));
});
