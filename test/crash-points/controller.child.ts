/** A controller in a process of its own that ends itself at one crash point, as `kill -9` does. */
import { createLogger } from '@sluice/runtime';
import { startController } from '../../apps/controller/src/app.ts';
import { controllerConfig } from './controller-config.ts';
import { killingAt } from './crash-points.ts';

const { point, strike, natsUrl } = JSON.parse(process.env.CRASH_POINT ?? '');
const { lifecycle } = await startController(controllerConfig(natsUrl), createLogger('controller', 'info'), {
  operate: killingAt(point, strike),
});
lifecycle.handleSignals();
