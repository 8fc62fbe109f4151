import type { WaysBack } from "./redrive.ts";

/** To queues, by the bindings of their producers. */
export function waysBackOf(queues: Readonly<Record<string, string>>, env: unknown): WaysBack {
  return {
    queue: (name) => {
      const binding = Object.hasOwn(queues, name) ? queues[name]! : undefined;
      const queue = binding && (env as Record<string, Queue | undefined>)[binding];
      if (!queue) return undefined;
      return async ({ body }) => {
        await queue.send(body, { contentType: "json" });
      };
    },
  };
}
