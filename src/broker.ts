import type { DurachartEnv } from "./index.ts";
import type { Buried, Deliver } from "./ingress/queue.ts";
import { filingIn } from "./filing.ts";
import type { Protect } from "./secrets/letters.ts";
import { brokerClass } from "./rabbitmq/broker.ts";
import { topology } from "./topology.ts";

/** The orchestrator's connections to RabbitMQ: what kitchen and delivery report, and all dead letters. */
export function shopBroker({
  deliver,
  protect,
}: {
  deliver: (env: DurachartEnv) => Deliver;
  protect: (env: DurachartEnv) => Protect;
}) {
  return brokerClass<DurachartEnv>({
    topology,
    consumes: [{ queue: "durachart-events", deliver }],
    file: (env) => async (dead) => {
      const letter = protect(env)(dead);
      const file = filingIn(env);
      if (file !== null) return file([letter]);
      if (env.DEAD_LETTERS === undefined) {
        throw new Error("Dead letters have no place: bind the database LIST, or DEAD_LETTERS.");
      }
      const { origin: queue, reason, attempts, body } = letter;
      const buried: Buried = { queue, reason, attempts, body };
      await env.DEAD_LETTERS.send(buried, { contentType: "json" });
    },
  });
}
