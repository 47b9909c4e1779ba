/** `node apps/controller/src/main.ts`: the controller as a process. */
import { createLogger, exitWhenMisconfigured, readConfigOrExit } from '@sluice/runtime';
import { startController } from './app.ts';
import { controllerVariables } from './config.ts';

const config = readConfigOrExit(controllerVariables, ['CONTROLLER_']);
const log = createLogger('controller', config.LOG_LEVEL);
try {
  const controller = await startController(config, log);
  controller.lifecycle.handleSignals();
  await controller.working;
} catch (err) {
  exitWhenMisconfigured(err);
  log.fatal({ err }, 'could not start');
  process.exit(1);
}
