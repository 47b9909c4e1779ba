/** An edge: holds a region's catalog, caches its bytes, serves them over HTTP. */
import { ConfigError, createLogger, exitWhenMisconfigured, readConfigOrExit } from '@sluice/runtime';
import { claimCredentials } from './adapters/credentials-slot.ts';
import { comeAfterOtherThreads } from './adapters/thread-priority.ts';
import { startEdge } from './app.ts';
import { edgeVariables } from './config.ts';

const given = readConfigOrExit(edgeVariables, ['EDGE_']);
try {
  const config = claimCredentials(given);
  const log = createLogger('edge', config.LOG_LEVEL, { edge: config.EDGE_ID });
  await startEdge(config, log).then(
    ({ lifecycle }) => {
      lifecycle.handleSignals();
      if (config.EDGE_SERVING_THREADS > 0) comeAfterOtherThreads();
    },
    (err) => {
      if (err instanceof ConfigError) throw err;
      log.fatal({ err }, 'could not start');
      process.exit(1);
    },
  );
} catch (err) {
  exitWhenMisconfigured(err);
  throw err;
}
