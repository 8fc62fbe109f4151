import type { Asker, Reply } from "./reply.ts";

/** A job as the shop sees it. Times are ISO 8601. */
export interface Job {
  /** `{workflow}/{id}` */
  order: string;
  state: "pending" | "begun";
  ticket: unknown;
  receivedAt: string;
}

/** A report that was made: which order it is about, and the event it was sent as. */
export interface Report {
  order: string;
  type: string;
}

export type StationMove = "begin" | "finish" | "fail";

/** What the gateway asks of kitchen and delivery, for staff, by service binding to their entrypoints `Jobs`. */
export interface StationCalls {
  /** What waits, the next one first. */
  pending(asker: Asker): Promise<Reply<Job[]>>;
  /**
   * Moves the next job on, and reports it.
   *
   * @param data of `fail` `{reason}`, else nothing
   * @param key repeats with the same key get the first answer
   */
  move(
    asker: Asker,
    move: StationMove,
    data: unknown,
    key: string | undefined,
  ): Promise<Reply<Report>>;
}
