#!/usr/bin/env node
// Plain JavaScript, so that an old Node says what is wrong instead of failing to parse TypeScript.
if (Number(process.versions.node.split('.')[0]) < 26) {
  console.error(`error: sluice needs Node 26, this is ${process.versions.node}. "npx sluice" uses the one that "npm ci" installed.`);
  process.exit(1);
}
await import('../src/main.ts');
