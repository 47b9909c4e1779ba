/** An edge in a process of its own that ends itself at one crash point, as `kill -9` does. */
import { createLogger } from '@sluice/runtime';
import { startEdge } from '../../apps/edge/src/app.ts';
import { killingAt } from './crash-points.ts';
import { edgeConfig } from './edge-config.ts';
import { hurriedClock } from './hurried-clock.ts';

const { point, strike, dir, natsUrl } = JSON.parse(process.env.CRASH_POINT ?? '');
const { lifecycle } = await startEdge(edgeConfig(dir, natsUrl), createLogger('edge', 'info'), {
  clock: hurriedClock,
  operate: killingAt(point, strike),
});
lifecycle.handleSignals();
