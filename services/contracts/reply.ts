import type { Caller } from "../../src/contract/caller.ts";
import type { Problem } from "../../src/contract/problem.ts";

/** An error's class doesn't survive the way between two Workers: a problem goes as a value. */
export type Reply<Value> = { ok: true; value: Value } | { ok: false; problem: Problem };

/**
 * For whom the gateway calls a neighbour, once the auth service has said who it is. A binding can only be
 * made in the account's own configuration, so the neighbour believes it.
 */
export interface Asker {
  caller: Caller;
  /** Their Authorization header as it came: to ask the orchestrator in their name. */
  authorization: string;
}
