import * as v from "valibot";
import { assign, emit, setup } from "xstate";
import { durachart } from "../../src/index.ts";
import type { EffectContext } from "../../src/kernel/workflow.ts";
import { brokerClass, consuming } from "../../src/rabbitmq/broker.ts";
import { overRabbitMQ } from "../../src/rabbitmq/transport.ts";
import { consumed, published, testTopology } from "./names.ts";

const MEMBERS = 2;

/** Counts what comes by one queue, and tells of each by another. */
const machine = setup({
  types: {} as {
    context: { counted: number };
    events: { type: "COUNT"; data: { key: string } };
    emitted: { type: "counted"; key: string };
  },
}).createMachine({
  id: "counter",
  context: { counted: 0 },
  on: {
    COUNT: {
      actions: [
        assign({ counted: ({ context }) => context.counted + 1 }),
        emit(({ event }) => ({ type: "counted" as const, key: event.data.key })),
      ],
    },
  },
});

const app = durachart({
  workflows: {
    counters: {
      machine,
      events: {
        COUNT: { schema: v.strictObject({ key: v.string() }), from: ["service"] },
      },
      access: { service: { instances: "all" } },
      effects: {
        routes: {
          counted: ({ type, ...data }: { type: string }, { publish }: EffectContext<unknown>) =>
            publish("counted", { type, data }),
        },
      },
    },
  },
  transports: {
    counted: overRabbitMQ(
      published,
      () => {
        throw new Error("RABBITMQ_URL is not set");
      },
      { members: MEMBERS },
    ),
  },
});

export default consuming(app, MEMBERS);
export const { Instance, Tenant } = app;
export const Broker = brokerClass({
  topology: testTopology,
  members: MEMBERS,
  consumes: [{ queue: consumed, deliver: app.deliver }],
});
