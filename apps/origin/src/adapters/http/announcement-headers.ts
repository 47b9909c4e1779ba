import type { Announced } from '../../domain/catalog-change.ts';
import type { HeaderList } from './exchange.ts';

/** By which a client follows what becomes of its change. */
export function announcementHeaders({ eventId, version }: Announced): HeaderList {
  return [
    ['x-sluice-event-id', eventId],
    ['x-sluice-version', String(version)],
  ];
}
