import type { Projection } from "../../src/contract/projection.ts";

/** The way from the instances to the list's queue, set by the tests: they share the Worker's isolate. */
export const lister = {
  send: async (projection: Projection, queue: Queue): Promise<unknown> =>
    queue.send(projection, { contentType: "json" }),
};

const untouched = { ...lister };

/** For after each test: what it has set is gone. */
export function resetLister(): void {
  Object.assign(lister, untouched);
}

/** From now on nothing reaches the queue. @returns what would have, of one instance, as it comes */
export function intercept(id: string): Projection[] {
  const told: Projection[] = [];
  lister.send = (projection) => {
    if (projection.id === id) told.push(projection);
    return Promise.resolve();
  };
  return told;
}
