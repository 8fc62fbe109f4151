import type { Transition, TransitionExport } from "../contract/transition.ts";

/** Bytes that one call takes, and one entry in it. */
interface Room {
  batch: number;
  entry: number;
}

/** Cloudflare Queues, "Limits": 256 KB a batch and 128 KB a message, with room for what goes around them. */
const QUEUE: Room = { batch: 200_000, entry: 120_000 };

/** Cloudflare Pipelines, "Limits": 1 MB a request. */
const STREAM: Room = { batch: 900_000, entry: 800_000 };

/** Characters that are left of a reason in an entry that was shortened. */
const MAX_WHY = 1_000;

/** To a Cloudflare queue, by its binding. */
export function exportToQueue(binding: string): (env: unknown) => TransitionExport {
  return (env) => {
    const queue = bound<Queue>(env, binding);
    return {
      send: async (transitions) => {
        for (const batch of batches(transitions, QUEUE)) {
          await queue.sendBatch(batch.map((body) => ({ body, contentType: "json" as const })));
        }
      },
    };
  };
}

/** To a stream of Cloudflare Pipelines, by its binding. */
export function exportToStream(binding: string): (env: unknown) => TransitionExport {
  return (env) => {
    const stream = bound<{ send(records: readonly object[]): Promise<void> }>(env, binding);
    return {
      send: async (transitions) => {
        for (const batch of batches(transitions, STREAM)) await stream.send(batch);
      },
    };
  };
}

function bound<Binding>(env: unknown, binding: string): Binding {
  const found = (env as Record<string, Binding | undefined>)[binding];
  if (found === undefined)
    throw new Error(`Transitions are exported to ${binding}, which is not bound.`);
  return found;
}

function* batches(transitions: readonly Transition[], room: Room): Generator<Transition[]> {
  let batch: Transition[] = [];
  let bytes = 0;
  for (const whole of transitions) {
    const one = fitting(whole, room.entry);
    // A UTF-16 unit is at most three bytes of UTF-8.
    const size = JSON.stringify(one).length * 3;
    if (batch.length > 0 && bytes + size > room.batch) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(one);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

/** What no message can hold would be tried for ever, and all that follows it would wait. */
function fitting(transition: Transition, most: number): Transition {
  const text = JSON.stringify(transition);
  const isSmall = text.length * 3 <= most;
  if (isSmall || new TextEncoder().encode(text).byteLength <= most) return transition;
  const { event, ...data } = transition.data;
  const { status, why } = data.changes;
  const changes = {
    ...(status === undefined ? {} : { status }),
    ...(why === undefined ? {} : { why: why.slice(0, MAX_WHY) }),
  };
  return {
    ...transition,
    isshortened: true,
    data: { ...data, event: { type: event.type }, changes },
  };
}
