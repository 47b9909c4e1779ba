/** An origin in a process of its own that ends itself at one crash point, as `kill -9` does. */
import { createLogger } from '@sluice/runtime';
import { startOrigin } from '../../apps/origin/src/app.ts';
import { originConfig } from '../../apps/origin/src/testing/origin.fixture.ts';
import { killingAt } from './crash-points.ts';
import { hurriedClock } from './hurried-clock.ts';

const { point, strike, dir, natsUrl } = JSON.parse(process.env.CRASH_POINT ?? '');
const config = originConfig(dir, natsUrl, { ORIGIN_CODING_THREADS: 0 });
const { lifecycle } = await startOrigin(config, createLogger('origin', 'info'), {
  partMinBytes: 1,
  clock: hurriedClock,
  operate: killingAt(point, strike),
});
lifecycle.handleSignals();
