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
    return print(report, transport);
  } finally {
    await broker?.remove();
  }
}

function print(report: ShopChaosReport, transport: Transport): boolean {
  const { violations, kills, wire, toStations, toOrders, webhooks, orderLog, refused, ...figures } =
    report;
  const rows: Record<string, number> = {
    ...figures,
    "messages to stations": toStations.sent,
    "  that vanished": toStations.vanished,
    "reports to orders": toOrders.sent,
    "  that vanished ": toOrders.vanished,
    "webhooks emitted": webhooks.sent,
    "  that vanished  ": webhooks.vanished,
    "events for the order log (always by a local queue)": orderLog.sent,
    "  that vanished   ": orderLog.vanished,
    ...Object.fromEntries(
      Object.entries(wire ?? {}).map(([name, value]) => [`AMQP ${name}`, value]),
    ),
    ...Object.fromEntries(Object.entries(refused).map(([name, value]) => [`sink ${name}`, value])),
    ...kills,
  };
  console.log();
  for (const [name, value] of Object.entries(rows)) {
    console.log(`  ${name.padEnd(64)}${String(value).padStart(7)}`);
  }
  const vanished = toStations.vanished + toOrders.vanished + webhooks.vanished;
  const isKept = violations.length === 0 && (transport === "queues" || vanished === 0);
  for (const violation of violations.slice(0, 20)) console.log(colors.red(`  ✗ ${violation}`));
  const said = isKept ? "Every promise was kept." : "Failed.";
  console.log(isKept ? colors.green(`\n  ${said}\n`) : colors.red(`\n  ${said}\n`));
  return isKept;
}
