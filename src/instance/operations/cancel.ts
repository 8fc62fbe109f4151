import { notPossible, type Done, type Operating } from "./operating.ts";

/**
 * Sends the event that the workflow names as the chart's own way out, so that everything the chart
 * compensates is compensated.
 *
 * @throws ProblemError as sending that event does
 */
export function cancel(around: Operating, data: unknown): Done {
  const { processor, live, caller, now } = around;
  const type = live.workflow.cancel;
  if (type === undefined) {
    throw notPossible(
      around,
      `can't be cancelled: its workflow names no event for it ("cancel"). Terminate it instead.`,
    );
  }
  const { tenant, workflow, id } = live.identity;
  const event = data === undefined ? { type } : { type, data };
  const sent = processor.send({ address: { tenant, workflow, id }, caller, event }, now, true);
  return { changed: sent.outcome === "applied", event: type, outcome: sent.outcome };
}
