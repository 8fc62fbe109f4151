import type { View } from "../../../src/contract/view.ts";
import type { Caller } from "./caller.ts";

/** What a customer was told has happened: each of them is in the order's journal once. */
export interface Told {
  order: string;
  type: string;
}

/** What a station was told it has done. */
export interface Done {
  station: Station;
  order: string;
  type: string;
}

export type Station = "kitchen" | "delivery";

const pause = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** Orders one after the other, and says what it was told. */
export class Customer {
  readonly orders: string[] = [];
  readonly told: Told[] = [];
  confirmed = 0;
  readonly #caller: Caller;
  readonly #name: string;
  readonly #random: () => number;

  constructor(caller: Caller, name: string, random: () => number) {
    this.#caller = caller;
    this.#name = name;
    this.#random = random;
  }

  /** @param pace milliseconds between two orders, on average */
  async run(pace: number, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await this.order();
      await pause(this.#random() * 2 * pace);
    }
  }

  async order(): Promise<void> {
    const order = `${this.#name}-${this.orders.length}`;
    this.orders.push(order);
    const pizza = (id: string) => ({
      type: "ADD_PIZZA",
      data: { id, pizza: this.#random() < 0.5 ? "mango-tango" : "banana-curry" },
    });
    const request = { id: order, input: { customer: this.#name }, event: pizza("p1") };
    const { status, body } = await this.#caller.call("POST", "/orders", request, order);
    if (status !== 201 && status !== 200) throw new Error(`${order}: ${JSON.stringify(body)}`);
    this.told.push({ order, type: "ADD_PIZZA" });
    await this.#say(order, pizza("p2"), "second");
    await this.#say(order, { type: "CONFIRM_PIZZA" }, "confirm");
    this.confirmed += 1;
    if (this.#random() < 0.1) await this.#say(order, { type: "CANCEL_ORDER" }, "cancel");
  }

  /** What the customer or an operator would do about an order that asks for it. */
  async retry({ id, seq }: View): Promise<void> {
    await this.#say(id, { type: "RETRY" }, `retry-${seq}`);
  }

  /** @throws Error where a repeat isn't answered as the first: it was taken for something new */
  async #say(order: string, event: { type: string }, key: string): Promise<void> {
    const path = `/orders/${order}/events`;
    const { status, body } = await this.#caller.call("POST", path, event, `${order}-${key}`);
    // Too late: it isn't allowed any more, and nothing has happened.
    if (status === 409 && event.type !== "CONFIRM_PIZZA") return;
    if (status !== 200) throw new Error(`${order}, ${event.type}: ${JSON.stringify(body)}`);
    this.told.push({ order, type: event.type });
  }
}

/** Does a station's work, one job after the other. */
export class Worker {
  readonly done: Done[] = [];
  readonly #caller: Caller;
  readonly #station: Station;
  readonly #name: string;
  readonly #random: () => number;
  #moves = 0;

  constructor(caller: Caller, station: Station, name: string, random: () => number) {
    this.#caller = caller;
    this.#station = station;
    this.#name = name;
    this.#random = random;
  }

  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      if (this.#station === "kitchen" && this.#random() < 0.3) await this.#move("begin-next");
      const isDone =
        this.#random() < 0.04
          ? await this.#move("fail-next", { reason: "it fell down" })
          : await this.#move("finish-next");
      await pause(isDone ? 5 : 150);
    }
  }

  async #move(move: string, body: object = {}): Promise<boolean> {
    const key = `${this.#name}-${++this.#moves}`;
    const path = `/${this.#station}/${move}`;
    const { status, body: moved } = await this.#caller.call("POST", path, body, key);
    if (status === 404) return false;
    if (status !== 200) throw new Error(`${path}: ${status} ${JSON.stringify(moved)}`);
    const { order, type } = moved as { order: string; type: string };
    this.done.push({ station: this.#station, order: order.replace("orders/", ""), type });
    return true;
  }
}
