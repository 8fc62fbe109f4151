import type { Alteration } from "./shop.ts";

/** The chart's own deadlines, made short: where messages vanish, they are what an order recovers by. */
export const shortDeadlines: readonly Alteration[] = [
  {
    file: "machines/order/machine.ts",
    find: /const minute = 60_000;\nconst hour = 60 \* minute;/g,
    put: "const minute = 200;\nconst hour = 60 * minute;",
  },
];

/** How long a run may go unrenewed, in milliseconds: what a kill holds up waits for it. */
export function leaseOf(milliseconds: number): readonly Alteration[] {
  const to = (file: string, name: string): Alteration => ({
    file,
    find: new RegExp(`const ${name} = 30_000;`, "g"),
    put: `const ${name} = ${milliseconds};`,
  });
  return [
    to("src/egress/timing.ts", "LEASE"),
    to("src/instance/ringing.ts", "DEAD_MAN"),
    to("src/rabbitmq/broker.ts", "ALARM"),
  ];
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
