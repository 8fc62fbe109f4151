import type { Incident } from "../contract/view.ts";
import type { Live } from "./live.ts";
import { blockedTimers, countTimers } from "./timer-book.ts";

/** How long a journal has become, where that needs a person. */
interface LongJournal {
  incident(live: Live): Pick<Incident, "kind" | "what" | "error"> | null;
}

/** What only memory knows of what goes wrong in an instance. */
export interface Troubles {
  /** Why inner work waits, where the instance runs in a loop. */
  loop: string | undefined;
  journal: LongJournal;
  /** Why deferred events failed, by their seq. */
  failedEvents: ReadonlyMap<number, string>;
}

export function incidentsOf(live: Live, troubles?: Troubles): Incident[] {
  const { identity, timers, effects, deferred } = live;
  const { loop, journal, failedEvents } = troubles ?? {};
  const long = journal?.incident(live) ?? null;
  const ofJournal =
    long === null ? [] : [{ id: "journal", ...long, mend: mending(identity, "archive") }];
  // Most have none, and every event is answered with a view.
  if (effects.size + countTimers(timers) + (failedEvents?.size ?? 0) === 0) return ofJournal;
  const stuck = [...effects.values()].filter(({ status }) => status === "parked");
  const retried = (id: string) => ({ id, mend: mending(identity, "retry", { incident: id }) });
  return [
    ...ofJournal,
    ...(loop === undefined
      ? []
      : [
          {
            ...{ id: "loop", kind: "looping" as const, what: "transitions per minute" },
            ...{ error: loop, mend: mending(identity, "pause") },
          },
        ]),
    ...blockedTimers(timers).map((timer) => ({
      ...retried(`timer:${timer.key}`),
      kind: "blocked" as const,
      what: `timer ${timer.id}`,
      error: timer.error ?? "",
    })),
    ...deferred.flatMap(({ seq, type }) => {
      const error = failedEvents?.get(seq);
      if (error === undefined) return [];
      return { ...retried(`event:${seq}`), kind: "blocked" as const, what: `event ${type}`, error };
    }),
    ...stuck.map((effect) => ({
      ...retried(`effect:${effect.key}`),
      kind: effect.result === null ? ("exhausted" as const) : ("blocked" as const),
      what: `${effect.kind} ${effect.name}`,
      error: effect.error ?? "",
    })),
  ];
}

/** The request that an operator mends something by. */
export function mending(
  { workflow, id }: { workflow: string; id: string },
  operation: string,
  body?: object,
): string {
  const path = `POST /${workflow}/${id}/${operation}`;
  return body === undefined ? path : `${path} ${JSON.stringify(body)}`;
}
