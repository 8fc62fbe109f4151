import type { Alteration } from "./shop.ts";

/**
 * Over queues that forget. Their consumers gather for a second, as the platform's may: a kill then hits
 * messages for sure. The chart's own deadlines are made short: they are what an order recovers by.
 */
export const forgetful: readonly Alteration[] = [
  ...["wrangler.toml", "services/kitchen/wrangler.toml", "services/delivery/wrangler.toml"].map(
    (file) => ({ file, find: /max_batch_timeout = 0/g, put: "max_batch_timeout = 1" }),
  ),
  {
    file: "machines/order/machine.ts",
    find: /const minute = 60_000;\nconst hour = 60 \* minute;/g,
    put: "const minute = 75;\nconst hour = 3_600_000;",
  },
];

/** For short runs: seconds after which work whose process died is taken over, and a webhook is given up. */
export function hurried(seconds: number): readonly Alteration[] {
  return [
    { file: "src/egress/timing.ts", name: "LEASE", from: "30_000" },
    { file: "src/instance/ringing.ts", name: "DEAD_MAN", from: "30_000" },
    { file: "src/rabbitmq/broker.ts", name: "ALARM", from: "30_000" },
    { file: "src/webhooks/post.ts", name: "TIMEOUT", from: "15_000" },
  ].map(({ file, name, from }) => ({
    file,
    find: new RegExp(`const ${name} = ${from};`, "g"),
    put: `const ${name} = ${seconds * 1_000};`,
  }));
}

/** Builds that break a promise on purpose: a checker that finds nothing in them finds nothing at all. */
export const sabotages = {
  "acknowledged before it is safe": {
    file: "src/rabbitmq/consumer.ts",
    find: /let met = await this\.#attempt\(message\);\n(?=    for)/g,
    put: `acknowledge(message);
    await new Promise((resolve) => setTimeout(resolve, 300));
    let met = await this.#attempt(message);
`,
  },
  "published without waiting for the confirm": {
    file: "src/rabbitmq/connection.ts",
    find: /await within\(sent, CONFIRM_PATIENCE, (.*)\);/g,
    put: "sent.catch(() => {});",
  },
} as const satisfies Record<string, Alteration>;

export type Sabotage = keyof typeof sabotages;
