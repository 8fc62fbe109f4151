import { caller, type Population } from "./population.ts";
import type { Finding } from "./run.ts";

/** Events in one request at most. */
const BATCH = 500;
/** Events that a tenant may send in a minute. */
const EVENTS_A_MINUTE = 60_000;

/**
 * A tenant that sends more events than it may: it must be told so, with the time to wait, and no other
 * tenant must feel it.
 */
export async function checkTooMany(base: URL, { tenants }: Population): Promise<Finding[]> {
  const call = caller(base);
  const [greedy, modest] = [tenants.at(-1)!, tenants.at(-2)!];
  const batch = Array.from({ length: BATCH }, (_, index) => ({
    ...{ specversion: "1.0", source: "//fuzz", id: String(index), type: "CANCEL_ORDER" },
  }));
  const headers = { "Content-Type": "application/cloudevents-batch+json" };
  const path = "/orders/nobody-1/events";
  // A minute may end in between: then its allowance begins anew.
  for (let sent = 0; sent <= 2 * EVENTS_A_MINUTE; sent += BATCH) {
    const { status, body } = await call(greedy.tokens.customer, "POST", path, batch, headers);
    if (status !== 429) continue;
    const { limit } = body as { limit?: { quota: number } };
    const where = "429";
    const other = await call(modest.tokens.customer, "POST", path, batch.slice(0, 1), headers);
    return [
      ...(limit?.quota === EVENTS_A_MINUTE
        ? []
        : [{ where, what: `names no limit: ${JSON.stringify(body)}` }]),
      ...(other.status === 207
        ? []
        : [{ where, what: `another tenant is answered ${other.status}` }]),
    ];
  }
  return [{ where: "429", what: `${2 * EVENTS_A_MINUTE} events were taken of one tenant` }];
}
