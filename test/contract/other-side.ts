/** One try to hand a message over. */
export interface Try {
  /** The instance that speaks. */
  sender: string;
  /** Which of its destinations. */
  lane: number;
  /** 1, 2, 3 … in the order in which the instance said them to this destination. */
  n: number;
  /** What the receiver knows repeats by. */
  id: string;
}

/**
 * What becomes of a try: taken; refused; taken, but the sender never hears of it; neither for as long as
 * the test says so.
 */
export type Fate = "take" | "refuse" | "lose" | "hang";

/** The other side said no, and has not taken it. */
export class Refused extends Error {
  override name = "Refused";
}

const LOOK_AGAIN = 3;

/** Where all transports under test end: it stands before their real other sides, in the test's own isolate. */
class OtherSide {
  /** In the order in which they began. */
  tries: Try[] = [];
  /** In the order in which they were taken. */
  taken: Try[] = [];
  fateOf: (attempt: Try) => Fate = () => "take";
  readonly #underWay = new Map<symbol, Try>();
  #mostOf = new Map<string, number>();
  #generation = 0;

  /** @param go hands it to the real other side */
  async pass<Result>(attempt: Try, go: () => Promise<Result> | Result): Promise<Result> {
    const token = Symbol(attempt.id);
    this.#underWay.set(token, attempt);
    const most = Math.max(this.#mostOf.get(attempt.sender) ?? 0, this.underWay(attempt.sender));
    this.#mostOf.set(attempt.sender, most);
    this.tries.push(attempt);
    try {
      const generation = this.#generation;
      while (this.fateOf(attempt) === "hang" && generation === this.#generation) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
      }
      const fate = this.fateOf(attempt);
      if (generation !== this.#generation) throw new Refused("The test is over");
      if (fate === "refuse") throw new Refused("The other side is down");
      const result = await go();
      this.taken.push(attempt);
      if (fate === "lose") throw new Error("The acknowledgement was lost");
      return result;
    } finally {
      this.#underWay.delete(token);
    }
  }

  underWay(sender?: string): number {
    const all = [...this.#underWay.values()];
    return all.filter((one) => sender === undefined || one.sender === sender).length;
  }

  /** The most tries of one sender that were under way at once. */
  mostOf(sender: string): number {
    return this.#mostOf.get(sender) ?? 0;
  }

  /** What was under way in a process that has died. */
  forgetUnderWay(): void {
    this.#underWay.clear();
  }

  reset(): void {
    this.#generation += 1;
    this.#underWay.clear();
    this.#mostOf = new Map();
    this.tries = [];
    this.taken = [];
    this.fateOf = () => "take";
  }
}

export const otherSide = new OtherSide();

/** A try as its CloudEvent tells. */
export function tryOf(event: unknown, id?: string): Try {
  const { data, ...attributes } = event as { source: string; id: string; data: unknown };
  const { lane, n } = data as { lane: number; n: number };
  const sender = attributes.source.split("/").at(-1)!;
  return { sender, lane, n, id: id ?? `${attributes.source} ${attributes.id}` };
}
