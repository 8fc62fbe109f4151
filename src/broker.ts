import type { DurachartEnv } from "./index.ts";
import type { Deliver } from "./ingress/queue.ts";
import { brokerClass } from "./rabbitmq/broker.ts";
import { topology } from "./topology.ts";

/** The orchestrator's connections to RabbitMQ: what kitchen and delivery report, and all dead letters. */
export function shopBroker(deliver: (env: DurachartEnv) => Deliver) {
  return brokerClass<DurachartEnv>({
    topology,
    consumes: [{ queue: "durachart-events", deliver }],
    file: (env) => async (letter) => {
      if (env.DEAD_LETTERS === undefined) throw new Error("The queue DEAD_LETTERS is not bound.");
      await env.DEAD_LETTERS.send(letter, { contentType: "json" });
    },
  });
}
