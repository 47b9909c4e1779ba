/** Every fault there is. */
import { CLOCK_FAULTS } from './clocks.ts';
import { DISK_FAULTS } from './disks.ts';
import type { Fault } from './fault.ts';
import { LINK_FAULTS } from './links.ts';
import { PROCESS_FAULTS } from './processes.ts';

export const FAULTS: readonly Fault[] = [...PROCESS_FAULTS, ...LINK_FAULTS, ...DISK_FAULTS, ...CLOCK_FAULTS];
