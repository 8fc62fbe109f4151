import { DurableObject } from "cloudflare:workers";
import { AlarmClock } from "../../src/contract/alarm-clock.ts";
import { log } from "../../src/contract/log.ts";
import type { Shortage, Stock } from "../contracts/catalog.ts";
import type { CatalogEnv } from "./env.ts";
import { Reservations, type LineAnswer, type ShelfClaim } from "./reservations.ts";

/** Milliseconds after which an alarm that came to nothing rings again. */
const DEAD_MAN = 30_000;

/**
 * The stock of one product in one realm. Each method is one transaction and may be called again. Holds that
 * nobody kept are returned before anything else is looked at, so that a late alarm never blocks a sale.
 */
export class Shelf extends DurableObject<CatalogEnv> {
  readonly #clock: AlarmClock;
  readonly #reservations: Reservations;

  constructor(context: DurableObjectState, env: CatalogEnv) {
    super(context, env);
    this.#clock = new AlarmClock(context);
    this.#reservations = new Reservations(context.storage.sql);
    void context.blockConcurrencyWhile(async () => {
      await this.#clock.read();
      // An alarm that was lost is set again at the next waking.
      this.#clock.noLaterThan(this.#reservations.nextDue());
    });
  }

  stock(): Stock {
    return this.#transact(() => this.#reservations.stock());
  }

  /** @returns what is there, and whether it was set: never below what is reserved */
  setStock(onHand: number): { isSet: boolean; stock: Stock } {
    return this.#transact(() => {
      const isSet = this.#reservations.setOnHand(onHand);
      return { isSet, stock: this.#reservations.stock() };
    });
  }

  /** @param refuse why none is to be had in this round, where that was found elsewhere */
  reserve(claim: ShelfClaim, refuse: Shortage["why"] | null): LineAnswer[] {
    return this.#transact((now) => this.#reservations.reserve(claim, refuse, now));
  }

  keep(claim: ShelfClaim): boolean {
    return this.#transact(() => this.#reservations.keep(claim));
  }

  release(claim: ShelfClaim): void {
    this.#transact((now) => this.#reservations.release(claim, now));
  }

  confirm(claim: ShelfClaim): void {
    const shelf = this.ctx.id.name ?? this.ctx.id.toString();
    this.#transact((now) => this.#reservations.confirm(claim, now, shelf));
  }

  /** Returns what has expired, and forgets what is old, some at a time. */
  override async alarm(): Promise<void> {
    // Should this run come to nothing, another follows: a handler that throws too often loses its alarm.
    this.#clock.set(Date.now() + DEAD_MAN);
    try {
      this.#clock.transact(() => {
        const now = Date.now();
        this.#reservations.expire(now);
        this.#reservations.forget(now);
        this.#clock.set(this.#reservations.nextDue());
      });
    } catch (error) {
      log.error("A shelf's alarm came to nothing", { shelf: this.ctx.id.toString(), error });
    }
  }

  #transact<Result>(work: (now: number) => Result): Result {
    const now = Date.now();
    return this.#clock.transact(() => {
      this.#reservations.expire(now);
      const result = work(now);
      this.#clock.noLaterThan(this.#reservations.nextDue());
      return result;
    });
  }
}
