import { env } from "cloudflare:workers";
import type { Arrival, Behaviour } from "./webhook-sink.ts";

/** The receiver outside of the runtime. */
export const remoteSink = {
  url: (path: string): string => `${env.WEBHOOK_LOCAL_TARGETS}${path}`,
  answer: async (path: string, behaviour: Behaviour): Promise<void> => {
    const body = JSON.stringify(behaviour);
    await (await fetch(remoteSink.url(`/control${path}`), { method: "PUT", body })).arrayBuffer();
  },
  at: async (path: string): Promise<Arrival[]> =>
    (await fetch(remoteSink.url(`/control${path}`))).json(),
};
