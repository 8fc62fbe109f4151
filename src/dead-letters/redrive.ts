import { refusal } from "../contract/problem.ts";
import type { RealmRows } from "../contract/realm-rows.ts";
import { claimLetter, readLetter, settleLetter, type Letter } from "./letters.ts";

interface WayBack {
  /** Brings a letter back to where it died. Resolves when it is safe there. */
  sendAgain(letter: Letter): Promise<void>;
  /** Has the place forget what it keeps of the letter; may be repeated. Left out where it keeps nothing. */
  discard?(letter: Letter): Promise<void>;
}

/** Ways back by the kind of the place: `queue`, `rabbitmq`, `webhook`. Each is given the place's name. */
export type WaysBack = Readonly<Record<string, (name: string) => WayBack | undefined>>;

/** Which letter, and who asks. */
export interface Redriving {
  rows: RealmRows;
  id: string;
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
export async function redrive({ rows, id, by, waysBack, now }: Redriving): Promise<void> {
  const letter = await claim({ rows, id, now }, "sent");
  if (letter === null) return;
  const change = { id, from: "sending" as const, by };
  try {
    const way = wayBackOf(letter, waysBack);
    if (way === undefined) {
      throw new Error(
        `no way back to ${letter.origin} is configured: a queue is named in durachart({ queues }), RabbitMQ by RABBITMQ_URL`,
      );
    }
    await way.sendAgain(letter);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await settleLetter(rows, { ...change, to: "dead", what: "not sent", reason, now });
    throw refusal("redrive-failed", `The dead letter "${id}" could not be sent again: ${reason}`);
  }
  await settleLetter(rows, { ...change, to: "sent", what: "sent again", now });
}

/**
 * Gives a letter up, at the place that keeps it too. It stays in the list as discarded.
 *
 * @throws ProblemError not-found, operation-not-possible, redrive-failed where its place can't be told
 */
export async function discardLetter(asked: Redriving): Promise<void> {
  const { rows, id, by, waysBack, now } = asked;
  const letter = await claim(asked, "discarded");
  if (letter === null) return;
  const change = { id, from: "sending" as const, by, now };
  try {
    await wayBackOf(letter, waysBack)?.discard?.(letter);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await settleLetter(rows, { ...change, to: "dead", what: "not discarded", reason });
    throw refusal("redrive-failed", `The dead letter "${id}" could not be discarded: ${reason}`);
  }
  await settleLetter(rows, { ...change, to: "discarded", what: "discarded" });
}

/**
 * A letter that nobody else is at; null where it has come to `end` already.
 *
 * @throws ProblemError not-found, operation-not-possible
 */
async function claim(
  { rows, id, now }: Pick<Redriving, "rows" | "id" | "now">,
  end: "sent" | "discarded",
): Promise<Letter | null> {
  const letter = await claimLetter(rows, { id, now });
  if (letter !== null) return letter;
  const there = await readLetter(rows, id);
  if (there === null) throw refusal("not-found", `There is no dead letter "${id}".`);
  if (there.status === end) return null;
  const why = {
    dead: "is dead again",
    sending: "is being sent again, or discarded",
    sent: "was sent again",
    discarded: "was discarded",
  }[there.status];
  throw refusal("operation-not-possible", `The dead letter "${id}" ${why}.`);
}

function wayBackOf({ origin }: Letter, waysBack: WaysBack): WayBack | undefined {
  const [kind = "", ...rest] = origin.split(":");
  const name = rest.join(":");
  return Object.hasOwn(waysBack, kind) ? waysBack[kind]!(name) : undefined;
}
