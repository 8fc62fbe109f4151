import { receiptMessage, type Subject } from "../broadcast/messages.ts";
import { checkCloudEvent, keptOf, traceOf } from "../cloudevents/received.ts";
import type { Caller } from "../contract/caller.ts";
import { dedupeByCloudEvent } from "../contract/dedupe.ts";
import { parseJson } from "../contract/json.ts";
import { ProblemError, refusal, type Problem } from "../contract/problem.ts";
import type { Receipt, SendRequest } from "../contract/requests.ts";
import { continueTrace } from "../contract/trace.ts";

/**
 * A CloudEvent that a watcher sends over its socket (WebSocket binding 1.0.2, JSON format).
 *
 * @param send brings it to the instance that is watched
 * @returns the receipt, a CloudEvent too, to be sent back
 */
export function takeFromSocket(
  text: string,
  { caller, refused }: { caller: Caller; refused: Problem | null },
  subject: Subject,
  send: (request: SendRequest) => Receipt,
): string {
  let of: { source?: string; id?: string } = {};
  const receipt = ((): Receipt => {
    try {
      if (refused !== null) throw new ProblemError(refused);
      const event = checkCloudEvent(parseJson(text));
      const { source, id, type, data } = event;
      of = { source, id };
      const { workflow, id: instance } = subject;
      const about = `${workflow}/${instance}`;
      if (event.subject !== undefined && event.subject !== about) {
        const detail = `The event's subject is "${event.subject}", this socket's is "${about}".`;
        throw refusal("bad-cloudevent", detail, { field: "subject" });
      }
      return send({
        address: { tenant: caller.tenant, workflow, id: instance },
        ...{ caller, dedupe: dedupeByCloudEvent(caller, event) },
        event: data === undefined ? { type } : { type, data },
        attributes: keptOf(event),
        trace: traceOf(event) ?? continueTrace(null),
      });
    } catch (error) {
      if (error instanceof ProblemError) return { ok: false, problem: error.problem };
      throw error;
    }
  })();
  return receiptMessage(subject, of, receipt, Date.now());
}
