import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { consumeMails } from "../../services/mailer/consumer.ts";
import type { MailerEnv } from "../../services/mailer/env.ts";
import { LEASE } from "../../services/mailer/ledger.ts";
import { providerOf } from "../../services/mailer/providers.ts";
import { remoteSink } from "../support/remote-sink.ts";
import {
  addressBook,
  deliver,
  envelope,
  everybody,
  freshId,
  later,
  mailsTo,
  rowOf,
  welcome,
  world,
} from "./service.ts";

afterEach(() => vi.useRealTimers());

/** A process that dies at the nth thing that it does to the world, before that is done or right after it. */
class Mortal {
  calls = 0;
  isDead = false;
  readonly #at: number;
  readonly #when: "before" | "after";

  constructor(at: number, when: "before" | "after") {
    this.#at = at;
    this.#when = when;
  }

  async does<Result>(work: () => Promise<Result>): Promise<Result> {
    this.calls += 1;
    if (this.isDead) return new Promise(() => {});
    if (this.calls < this.#at) return work();
    if (this.#when === "after") await work();
    this.isDead = true;
    this.onDeath();
    // Nothing follows: the dead clean nothing up.
    return new Promise(() => {});
  }

  onDeath: () => void = () => {};

  world(more: Partial<MailerEnv>): MailerEnv {
    const there = world(more);
    const originals = new WeakMap<object, D1PreparedStatement>();
    const statement = (original: D1PreparedStatement): D1PreparedStatement => {
      const wrapped = {
        bind: (...values: unknown[]) => statement(original.bind(...values)),
        first: () => this.does(() => original.first()),
        run: () => this.does(() => original.run()),
        all: () => this.does(() => original.all()),
      } as unknown as D1PreparedStatement;
      originals.set(wrapped, original);
      return wrapped;
    };
    const MAILS_DB = {
      prepare: (text: string) => statement(env.MAILS_DB.prepare(text)),
      batch: (some: D1PreparedStatement[]) =>
        this.does(() => env.MAILS_DB.batch(some.map((one) => originals.get(one)!))),
    } as unknown as D1Database;
    const ADDRESSES = {
      addressOf: (whose: never, subject: string) =>
        this.does(() => addressBook(everybody).addressOf(whose, subject)),
    };
    return { ...there, MAILS_DB, ADDRESSES };
  }
}

/** Has a process begin with a mail, and die. @returns whether it has died, or was done before */
async function begin(body: unknown, mortal: Mortal, more: Partial<MailerEnv>): Promise<boolean> {
  const message = {
    ...{ id: "0", timestamp: new Date(), attempts: 1, body },
    ack: () => void mortal.does(async () => {}),
    retry: () => {},
  } as unknown as Message;
  const died = new Promise<boolean>((resolve) => (mortal.onDeath = () => resolve(true)));
  // The provider is one thing that is done, whichever it is: its own statements aren't counted.
  const done = consumeMails(
    { messages: [message], queue: "mails" },
    mortal.world(more),
    (there, realm) => {
      const provider = providerOf({ ...there, MAILS_DB: env.MAILS_DB }, realm);
      return {
        remembers: provider.remembers,
        send: (mail, key) => mortal.does(() => provider.send(mail, key)),
      };
    },
  ).then(() => mortal.isDead);
  return Promise.race([died, done]);
}

/** Dies everywhere in turn; each time the queue brings the mail again. @returns how many places there are */
async function everywhere(
  prepare: () => Promise<{ body: unknown; more: Partial<MailerEnv> }>,
  check: (place: string) => Promise<void>,
): Promise<number> {
  let places = 0;
  for (const when of ["before", "after"] as const) {
    for (let at = 1; ; at += 1) {
      const { body, more } = await prepare();
      if (!(await begin(body, new Mortal(at, when), more))) break;
      places = at;
      // A claim may still be the dead one's: the mail waits for the end of the lease, and no longer.
      await deliver([body], world(more));
      later(LEASE + 1);
      expect(await deliver([body], world(more)), `${when} ${at}`).toEqual(["acked"]);
      expect(await deliver([body], world(more))).toEqual(["acked"]);
      await check(`${when} ${at}`);
    }
  }
  return places;
}

describe("a process that dies anywhere", () => {
  it("leaves a mail that is in the mailbox once when another has gone on", async () => {
    let id = "";
    const places = await everywhere(
      async () => {
        id = freshId();
        return { body: envelope(id, welcome({ subject: `user:${id}` })), more: {} };
      },
      async (place) => {
        expect(await mailsTo(`${id}@example.test`), place).toHaveLength(1);
        expect((await rowOf(id))!.state, place).toBe("sent");
      },
    );
    // Claim, address, note of asking, provider, note of sending, acknowledgement.
    expect(places).toBe(6);
  });

  it("has asked the provider over HTTP under one key alone, that of the mail", async () => {
    let path = "";
    const keys = new Set<string>();
    let repeats = 0;
    const places = await everywhere(
      async () => {
        const id = freshId();
        path = `/mails/${id}`;
        await remoteSink.answer(path, { status: 200, body: `{"id":"x"}` });
        const more = {
          ...{ MAIL_PROVIDER: "http", MAIL_API_URL: remoteSink.url(path) },
          ...{ MAIL_API_KEY: "key", MAIL_FROM: "shop@example.test" },
        };
        return { body: envelope(id, welcome({ subject: `user:${id}` })), more };
      },
      async (place) => {
        const arrivals = await remoteSink.at(path);
        const own = new Set(arrivals.map(({ headers }) => headers["idempotency-key"]!));
        expect(own.size, place).toBe(1);
        // The mail is the same one too: else the provider would refuse what comes under a known key.
        expect(new Set(arrivals.map(({ body }) => body)).size).toBe(1);
        repeats += arrivals.length - 1;
        for (const key of own) keys.add(key);
      },
    );
    expect(places).toBe(6);
    expect(keys.size).toBe(12);
    // Between the provider's answer and the note of it, and nowhere else.
    expect(repeats).toBe(2);
  });
});
