import { join } from "node:path";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { runInNode, type NodeInstance, type StorageDump } from "../../src/testing/index.ts";
import type { Answers, Move, Story } from "./stories.ts";

export const recordings = join(import.meta.dirname, "recordings");

/** A recorded life: what happened, and after each move what was seen, and what was stored. */
export interface Recording extends Story {
  workflow: string;
  version: string;
  after: { seen: Seen; stored: StorageDump; now: number }[];
}

/** All that a version promises to do again: states, timers, what leaves. */
export interface Seen {
  view: object;
  history: object[];
  sent: object[];
}

// The times of retries are jittered; those of recordings are not.
Math.random = () => 0.5;

/** When all recordings begin. */
const BEGIN = Date.UTC(2030, 0, 1);

export function run(
  definition: WorkflowDefinition,
  answers: Answers,
  from?: { stored: StorageDump; now: number; tries: Record<string, number> },
): { order: NodeInstance; tries: Record<string, number> } {
  const tries: Record<string, number> = { ...from?.tries };
  const actors = Object.keys(answers).map((name) => [
    name,
    () => {
      const answered = answers[name]!;
      const index = Math.min((tries[name] = (tries[name] ?? 0) + 1), answered.length) - 1;
      if (answered[index] === "fails") throw new Error(`${name} is down`);
      const answer = answered[index]!;
      if (typeof answer === "object") return answer.output;
      return answer === "done" ? null : new Promise(() => {});
    },
  ]);
  const others = Object.keys(definition.effects?.actors ?? {}).filter((name) => !(name in answers));
  const order = runInNode(definition, {
    now: from?.now ?? BEGIN,
    actors: {
      ...Object.fromEntries(others.map((name) => [name, () => null])),
      ...(Object.fromEntries(actors) as object),
    },
    ...(from === undefined ? {} : { from: from.stored }),
  });
  return { order, tries };
}

export async function make(order: NodeInstance, move: Move): Promise<void> {
  if ("start" in move) await order.start(move.start);
  else if ("send" in move) await order.send(move.send, move.key);
  else await order.advance(move.advance);
}

/** @param sentBefore what had left before the recording that this one goes on from */
export async function look(order: NodeInstance, sentBefore: object[] = []): Promise<Seen> {
  // What is said about it in other words than then is no other state.
  const { allowed: _, retrying: __, incidents: ___, ...view } = await order.view();
  const history = (await order.history()) as object[];
  return JSON.parse(
    JSON.stringify({ view, history, sent: [...sentBefore, ...order.sent] }),
  ) as Seen;
}
