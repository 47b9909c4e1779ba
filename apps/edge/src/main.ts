/** An edge: holds a region's catalog, caches its bytes, serves them over HTTP. */
import { createLogger, readConfigOrExit } from '@sluice/runtime';
import { startEdge } from './app.ts';
import { edgeVariables } from './config.ts';

const config = readConfigOrExit(edgeVariables, ['EDGE_']);
const log = createLogger('edge', config.LOG_LEVEL, { edge: config.EDGE_ID });
try {
  const { lifecycle } = await startEdge(config, log);
  lifecycle.handleSignals();
} catch (err) {
  log.fatal({ err }, 'could not start');
  process.exit(1);
}
