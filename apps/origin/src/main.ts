import { createLogger, exitWhenMisconfigured, readConfigOrExit } from '@sluice/runtime';
import { startOrigin } from './app.ts';
import { originConfigSchema } from './config.ts';

const config = readConfigOrExit(originConfigSchema, ['ORIGIN_']);
const log = createLogger('origin', config.LOG_LEVEL);
try {
  const { lifecycle } = await startOrigin(config, log);
  lifecycle.handleSignals();
} catch (err) {
  exitWhenMisconfigured(err);
  log.fatal({ err }, 'the origin could not start');
  process.exitCode = 1;
}
