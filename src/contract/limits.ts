import type { TenantLimits } from "./tenancy.ts";

/** What an instance may take up, and what a tenant. Handed to `durachart` as a whole, read anew at each use. */
export interface Limits {
  /** Entries in the journal from which on the view shows an incident. */
  longJournal: number;
  /** Entries in the journal with which an instance takes no more events until it is archived. */
  fullJournal: number;
  /** Bytes of the object's database with which it does the same. */
  databaseBytes: number;
  /** Entries in one object of the archive: it is read, and kept in memory, as a whole. */
  partEntries: number;
  /** Bytes of a payload. */
  payloadBytes: number;
  /** WebSockets that watch one instance. */
  watchers: number;
  /** What each tenant may take up; `own` says otherwise for some. */
  tenants: TenantLimits & { own?: Readonly<Record<string, Partial<TenantLimits>>> };
}

export const defaultLimits: Limits = {
  longJournal: 10_000,
  fullJournal: 100_000,
  databaseBytes: 1_000_000_000,
  partEntries: 2_500,
  payloadBytes: 25_000_000,
  watchers: 1_000,
  tenants: {
    requestsPerMinute: 60_000,
    eventsPerMinute: 60_000,
    liveInstances: 1_000_000,
    sockets: 10_000,
  },
};
