import type { Caller } from "../../src/contract/caller.ts";
import type { ListedLetter } from "../../src/dead-letters/letters.ts";
import { call, freshId, operator, setTime } from "../support/client.ts";
import type { Harness, Kept, Place } from "./harness.ts";
import { otherSide } from "./other-side.ts";

/** Looks at the outboxes that must agree before they count as still. */
const AGREEING = 2;
const BETWEEN_LOOKS = 2;
const MAX_LOOKS = 60;
/** Milliseconds that the clock goes on where nothing says when. */
const MOST_AT_ONCE = 3_600_000;
const MAX_ROUNDS = 500;

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A tenant of its own, whose instances say things by the transport under test, and the clock in hand. */
export class Bench {
  readonly #harness: Harness;
  readonly tenant = freshId();
  readonly #places: Place[] = [];
  now = 1_800_000_000_000;

  private constructor(harness: Harness) {
    this.#harness = harness;
  }

  static async open(harness: Harness, lanes: number): Promise<Bench> {
    const bench = new Bench(harness);
    setTime(bench.now);
    await harness.prepare?.(bench.tenant, lanes);
    return bench;
  }

  async sender(): Promise<Place> {
    const { workflow } = this.#harness;
    const place = { tenant: this.tenant, workflow, sender: freshId() };
    await this.#call("POST", `/${workflow}`, { id: place.sender });
    this.#places.push(place);
    return place;
  }

  async say({ workflow, sender }: Place, data: { lane: number; n: number }[]): Promise<void> {
    await this.#call("POST", `/${workflow}/${sender}/events`, { type: "SAY", data });
  }

  kept(place: Place): Promise<Kept[]> {
    return this.#harness.outbox.kept(place);
  }

  shown(place: Place): Promise<string[]> {
    return this.#harness.outbox.shown(place);
  }

  /** Goes on to a moment, and rings every alarm that there is. */
  async goTo(moment: number): Promise<void> {
    this.now = Math.max(this.now, moment);
    setTime(this.now);
    for (const outbox of this.#outboxes()) {
      for (const place of this.#places) await outbox.ring(place);
    }
    await this.still();
  }

  /** Until nothing changes any more by itself. */
  async still(): Promise<void> {
    let before = "";
    let agreeing = 0;
    for (let look = 0; look < MAX_LOOKS && agreeing < AGREEING; look++) {
      await pause(BETWEEN_LOOKS);
      const all = JSON.stringify([await this.#keptAnywhere(), otherSide.tries.length]);
      agreeing = all === before && otherSide.underWay() === 0 ? agreeing + 1 : 0;
      before = all;
    }
  }

  /** Goes from one due time to the next until nothing waits. @throws Error where it never ends */
  async drain(between: (round: number) => Promise<void> = async () => {}): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      await this.still();
      const waiting = (await this.#keptAnywhere()).filter(({ isParked }) => !isParked);
      if (waiting.length === 0) return;
      await between(round);
      // What waits behind another is due already.
      const dues = waiting.flatMap(({ due }) => (due !== null && due > this.now ? [due] : []));
      await this.goTo(Math.min(this.now + MOST_AT_ONCE, ...dues));
    }
    throw new Error(`Messages wait for ever: ${JSON.stringify(await this.#keptAnywhere())}`);
  }

  /** As if the process of the outbox of one sender died. */
  async crash(index: number): Promise<void> {
    const place = this.#places[index % this.#places.length]!;
    for (const outbox of this.#outboxes()) await outbox.crash(place);
    otherSide.forgetUnderWay();
  }

  /** The tenant's dead letters of this transport, once the list has heard of so many. */
  async letters(count: number): Promise<ListedLetter[]> {
    const deadline = performance.now() + 10_000;
    for (;;) {
      const { body } = await call<{ letters: ListedLetter[] }>("GET", "/dead-letters", {
        as: this.#undertaker,
      });
      if (body.letters.length === count) return body.letters;
      if (performance.now() > deadline) throw new Error(`There are ${JSON.stringify(body)}`);
      // Instances tell the list at most once a second.
      await this.goTo(this.now + 1_000);
    }
  }

  async redrive(id: string): Promise<number> {
    const path = `/dead-letters/${encodeURIComponent(id)}/redrive`;
    return (await call("POST", path, { as: this.#undertaker })).status;
  }

  /** Its id goes as it is, where `redrive` encodes it: both must do. */
  async discard(id: string): Promise<number> {
    return (await call("DELETE", `/dead-letters/${id}`, { as: this.#undertaker })).status;
  }

  get #undertaker(): Caller {
    return { tenant: this.tenant, subject: "ursula", roles: [], scopes: ["dead-letters"] };
  }

  #outboxes() {
    return [...(this.#harness.before ?? []), this.#harness.outbox];
  }

  async #keptAnywhere(): Promise<Kept[]> {
    const all = this.#outboxes().flatMap((outbox) =>
      this.#places.map((place) => outbox.kept(place)),
    );
    return (await Promise.all(all)).flat();
  }

  async #call(method: string, path: string, body: object): Promise<void> {
    const as = { ...operator, tenant: this.tenant };
    const answer = await call(method, path, { as, body });
    if (answer.status >= 300) throw new Error(`${path}: ${JSON.stringify(answer.body)}`);
  }
}
