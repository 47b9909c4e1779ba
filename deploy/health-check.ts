/**
 * Exit 0 when this container's app does its job (`/readyz`), else 1 with the reason on stdout, which `docker inspect` shows. The image is
 * the same for all apps: whichever answers on its port is the one that runs here.
 */
const { ORIGIN_PORT, CONTROLLER_PORT, EDGE_PORT } = process.env;

/** The answer of the app on `port`, undefined when nothing listens there. */
async function ask(port: string): Promise<{ ready: boolean; text: string } | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(2_500) });
    return { ready: response.ok, text: await response.text() };
  } catch {
    return undefined;
  }
}

const answers = await Promise.all([ORIGIN_PORT || '9000', CONTROLLER_PORT || '9100', EDGE_PORT || '8080'].map(ask));
const answer = answers.find((found) => found !== undefined);
console.log(answer?.text.trim() ?? 'nothing answers');
process.exitCode = answer?.ready ? 0 : 1;
