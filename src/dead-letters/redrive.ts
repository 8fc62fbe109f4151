import { refusal } from "../contract/problem.ts";
import { claimLetter, readLetter, settleLetter, type Letter } from "./letters.ts";

/** Brings a letter back to where it died. Resolves when it is safe there. */
type WayBack = (letter: Letter) => Promise<void>;

/** Ways back by the kind of the place: `queue`, `rabbitmq`, `webhook`. Each is given the place's name. */
export type WaysBack = Readonly<Record<string, (name: string) => WayBack | undefined>>;

export interface Redriving {
  database: D1Database;
  tenant: string;
  id: string;
  /** Who asks. */
  by: string;
  waysBack: WaysBack;
  now: number;
}

/**
 * Sends a letter again: once, however often and by however many it is asked. Who dies in between leaves a
 * claim that ends after a minute; what is then sent a second time is the same event, and applied once.
 *
 * @throws ProblemError not-found, operation-not-possible, redrive-failed
 */
export async function redrive({
  database,
  tenant,
  id,
  by,
  waysBack,
  now,
}: Redriving): Promise<void> {
  const letter = await claimLetter(database, { tenant, id, now });
  if (letter === null) {
    const there = await readLetter(database, tenant, id);
    if (there === null) throw refusal("not-found", `There is no dead letter "${id}".`);
    if (there.status === "sent") return;
    const why = there.status === "sending" ? "is being sent again" : "was discarded";
    throw refusal("operation-not-possible", `The dead letter "${id}" ${why}.`);
  }
  const change = { tenant, id, from: "sending" as const, by };
  try {
    await wayBackOf(letter, waysBack)(letter);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await settleLetter(database, { ...change, to: "dead", what: "not sent", reason, now });
    throw refusal("redrive-failed", `The dead letter "${id}" could not be sent again: ${reason}`);
  }
  await settleLetter(database, { ...change, to: "sent", what: "sent again", now });
}

function wayBackOf({ origin }: Letter, waysBack: WaysBack): WayBack {
  const [kind = "", ...rest] = origin.split(":");
  const name = rest.join(":");
  const way = Object.hasOwn(waysBack, kind) ? waysBack[kind]!(name) : undefined;
  if (way !== undefined) return way;
  throw new Error(`no way back to ${origin} is configured (durachart({ queues }))`);
}
