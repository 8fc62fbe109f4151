import colors from "picocolors";
import { findBroker } from "../../../src/cli/broker-server.ts";
import { startBroker } from "../../support/broker.ts";
import { randomFrom } from "../../support/random.ts";
import { inRandomOrder } from "./troubles.ts";
import { shopChaos, type ShopChaosReport } from "./scenario.ts";

type Transport = "rabbitmq" | "queues";

/** `npm run chaos -- rabbitmq` and `npm run chaos -- queues`. @returns whether every promise was kept */
export async function shopMain(transport: Transport, seed: number): Promise<boolean> {
  if (transport === "rabbitmq" && findBroker() === null) {
    console.log("RabbitMQ isn't installed here: see README.md.");
    return false;
  }
  const broker = transport === "rabbitmq" ? await startBroker() : null;
  try {
    const report = await shopChaos({
      ...{ seed, broker, between: 8_000, customers: 10, pace: 400 },
      troubles: inRandomOrder(
        5,
        broker === null ? ["runtime"] : ["runtime", "broker"],
        randomFrom(seed + 3),
      ),
      orders: Number(process.env["DURACHART_ORDERS"] ?? 600),
      say: (text) => console.log(colors.dim(`  ${text}`)),
    });
    return print(report);
  } finally {
    await broker?.remove();
  }
}

const labels = {
  toStations: "messages to stations",
  toOrders: "reports to orders",
  webhooks: "webhooks",
  orderLog: "for the order log, always by a local queue",
};

function print(report: ShopChaosReport): boolean {
  const { violations, kills, wire, toStations, toOrders, webhooks, orderLog, refused, ...figures } =
    report;
  const traffic = { toStations, toOrders, webhooks, orderLog };
  const rows = [
    ...Object.entries(figures),
    ...Object.entries(traffic).flatMap(([name, { sent, vanished }]) => [
      [`${labels[name as keyof typeof traffic]}, sent`, sent],
      [`${labels[name as keyof typeof traffic]}, vanished`, vanished],
    ]),
    ...Object.entries(wire ?? {}).map(([name, value]) => [`AMQP, ${name}`, value]),
    ...Object.entries(refused).map(([name, value]) => [`sink, ${name}`, value]),
    ...Object.entries(kills),
  ];
  console.log();
  for (const [name, value] of rows) {
    console.log(`  ${String(name).padEnd(64)}${String(value).padStart(7)}`);
  }
  const isKept = violations.length === 0;
  for (const violation of violations.slice(0, 20)) console.log(colors.red(`  ✗ ${violation}`));
  const said = isKept ? "Every promise was kept." : "Failed.";
  console.log(isKept ? colors.green(`\n  ${said}\n`) : colors.red(`\n  ${said}\n`));
  return isKept;
}
