import type { EffectContext } from "../../src/kernel/workflow.ts";
import { eventually } from "./client.ts";
import { world } from "./probe.ts";

/** A run of an actor that ends when the test says so. */
interface Run {
  id: string;
  signal: AbortSignal;
  input: unknown;
  /** What it comes to; a throw is its failure. */
  end?: () => unknown;
}

/** Takes the actors of the test's world into the test's hand. */
export function actorsInHand() {
  const runs: Run[] = [];
  world.actor = async ({ id, signal, input }: EffectContext<unknown> & { input: unknown }) => {
    const run: Run = { id, signal, input };
    runs.push(run);
    // A promise of the test's own can't be waited for: it belongs to another context.
    while (run.end === undefined) await new Promise((resolve) => setTimeout(resolve, 2));
    return run.end();
  };
  return {
    runs,
    begun: (count: number) =>
      eventually(
        () => Promise.resolve(runs.length),
        (length) => length === count,
      ),
  };
}
