import type { Asker, Reply } from "./reply.ts";

/** An entry as it is read. */
export interface LoggedEntry {
  /** Ever higher, in the order in which entries were written down. */
  position: number;
  source: string;
  id: string;
  type: string;
  /** `{workflow}/{id}` */
  subject: string;
  /** ISO 8601 in UTC. */
  time: string;
  data: unknown;
}

/** What is looked for, as in an address: `order`, `type`, `from`, `to`, `after`, `limit`. */
export type LogParameters = Readonly<Record<string, string>>;

/** What the gateway asks of the order log, for staff, by service binding to its entrypoint `Log`. */
export interface LogCalls {
  /** A page, oldest first. */
  entries(asker: Asker, parameters: LogParameters): Promise<Reply<LoggedEntry[]>>;
}
