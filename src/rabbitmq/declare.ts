import type { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";
import type { Connection } from "./connection.ts";
import type { Topology } from "./topology.ts";
import { saidBy } from "../contract/within.ts";

/** What became of one exchange, queue or binding. */
export interface Declared {
  what: string;
  /** "declared" where nobody has looked whether it was there before. */
  outcome: "made" | "there" | "declared" | "failed";
  /** Why it failed, and what to do about it. */
  error?: string;
}

interface Step {
  what: string;
  declare: (channel: AMQPChannel) => Promise<unknown>;
  /** Fails, and closes the channel, where it isn't there. */
  look?: (channel: AMQPChannel) => Promise<unknown>;
}

/**
 * Declares what isn't there, and leaves alone what is. It never throws on what it finds: each step
 * that failed says so.
 *
 * @param options.look asks first what is there, at the cost of a round trip each
 */
export async function declareTopology(
  connection: Connection,
  topology: Topology,
  { look = false }: { look?: boolean } = {},
): Promise<Declared[]> {
  const found: Declared[] = [];
  let channel = await connection.channel();
  const tries = async (act: (channel: AMQPChannel) => Promise<unknown>): Promise<string | null> => {
    try {
      await act(channel);
      return null;
    } catch (error) {
      // The broker closes the channel on each error.
      channel = await connection.channel();
      return saidBy(error);
    }
  };
  for (const step of steps(topology)) {
    const isThere = look && step.look !== undefined && (await tries(step.look)) === null;
    const error = await tries(step.declare);
    if (error !== null) {
      found.push({ what: step.what, outcome: "failed", error: explained(error) });
    } else {
      const outcome = !look || step.look === undefined ? "declared" : isThere ? "there" : "made";
      found.push({ what: step.what, outcome });
    }
  }
  await channel.close();
  return found;
}

function* steps({ exchanges, queues }: Topology): Generator<Step> {
  for (const { name, type } of exchanges) {
    yield {
      what: `exchange ${name}`,
      look: (channel) => channel.exchangeDeclare(name, type, { passive: true }),
      declare: (channel) => channel.exchangeDeclare(name, type, { durable: true }),
    };
  }
  for (const { name, arguments: rest, bindings } of queues) {
    yield {
      what: `queue ${name}`,
      look: (channel) => channel.queueDeclare(name, { passive: true }),
      declare: (channel) => channel.queueDeclare(name, { durable: true }, { ...rest }),
    };
    for (const { exchange, key } of bindings) {
      yield {
        what: `binding ${exchange} → ${name}${key === "" ? "" : ` (${key})`}`,
        declare: (channel) => channel.queueBind(name, exchange, key),
      };
    }
  }
}

function explained(error: string): string {
  if (error.includes("PRECONDITION_FAILED")) {
    return `It exists with other arguments, and was left as it is. Empty and delete it, then declare again. ${error}`;
  }
  if (error.includes("ACCESS_REFUSED")) {
    return `This user may not configure it. Declare with one that may: npm run rabbitmq -- declare. ${error}`;
  }
  return error;
}
