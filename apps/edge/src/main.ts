/** An edge: holds a region's catalog, caches its bytes, serves them over HTTP. */
import { ConfigError, createLogger, readConfigOrExit } from '@sluice/runtime';
import { comeAfterOtherThreads } from './adapters/thread-priority.ts';
import { startEdge } from './app.ts';
import { edgeVariables } from './config.ts';

const config = readConfigOrExit(edgeVariables, ['EDGE_']);
const log = createLogger('edge', config.LOG_LEVEL, { edge: config.EDGE_ID });
try {
  const { lifecycle } = await startEdge(config, log);
  lifecycle.handleSignals();
  if (config.EDGE_SERVING_THREADS > 0) comeAfterOtherThreads();
} catch (err) {
  if (err instanceof ConfigError) {
    process.stderr.write(`${err.message}\n`);
    process.exit(2);
  }
  log.fatal({ err }, 'could not start');
  process.exit(1);
}
