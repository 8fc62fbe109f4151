import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { announceRegistrations } from "../../services/auth/registrations.ts";
import {
  codeOf,
  confirm,
  mailRegistrations,
  noteRegistration,
  tendRegistrations,
} from "../../services/auth/confirmations.ts";
import { COST, hashPassword } from "../../services/auth/passwords.ts";
import type { AuthEnv, Settings } from "../../services/auth/settings.ts";
import { countLogin } from "../../services/auth/throttle.ts";
import { register } from "../../services/auth/users.ts";
import { mailWanted } from "../../services/mailer/shapes.ts";
import type { MailWanted } from "../../services/contracts/mail.ts";
import { openEnvelope } from "../../src/ingress/queue.ts";
import { validate } from "../../src/instance/validate.ts";
import { atEveryStatement } from "./dying.ts";
import {
  auth,
  claimsOf,
  freshAddress,
  freshName,
  openly,
  password,
  problemOf,
  settings,
  value,
} from "./service.ts";

afterEach(() => vi.restoreAllMocks());
// What a password costs is looked at elsewhere.
COST.log2N = 10;

const HOUR = 3_600_000;
const patiently = { timeout: 15_000 };
const freshMail = () => `${freshName()}@example.test`;

/** A queue that keeps what it is given, and reads it as the mailer does. */
function mailing(more: Partial<AuthEnv> = {}) {
  const sent: { id: string; mail: MailWanted }[] = [];
  const queue = {
    sendBatch: async (messages: Iterable<{ body: unknown }>) => {
      for (const { body } of messages) {
        const { event } = openEnvelope(structuredClone(body));
        sent.push({ id: event.id, mail: validate(mailWanted, event.data, "data") });
      }
    },
  };
  const to = (address: string) =>
    sent.filter(({ mail }) => "address" in mail.to && mail.to.address === address);
  return { to, settings: settings({ ...more, MAILS_QUEUE: queue as unknown as Queue }) };
}

/** Somebody registers. @returns the code that was mailed */
async function pending(name: string, secret = password, now = Date.now()): Promise<string> {
  await noteRegistration(settings(), name, hashPassword(secret), now);
  const { to, settings: mails } = mailing();
  await mailRegistrations(mails, now);
  const [only] = to(name);
  return (only!.mail as MailWanted & { template: "confirm-address" }).values.code;
}

const confirmed = (code: string, secret = password, with_ = settings(), now = Date.now()) =>
  confirm(with_, { code, password: secret }, freshAddress(), now);

async function problemFrom(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => expect.unreachable("It was granted."),
    (error: { problem: unknown }) => error.problem,
  );
}

const usersNamed = async (name: string) =>
  (await env.ACCOUNTS.prepare("SELECT id FROM users WHERE name = ?").bind(name).all()).results;

describe("a registration", () => {
  it("is answered alike, after the same work, whoever has the name", async () => {
    const [name, taken] = [freshMail(), freshMail()];
    await register(openly(), { username: taken, password }, freshAddress(), Date.now());
    const mails = mailing();
    const works: string[][] = [];
    for (const username of [name, name.toUpperCase(), taken, name, name]) {
      const work: string[] = [];
      const database = {
        prepare: (text: string) => {
          work.push(text);
          return env.ACCOUNTS.prepare(text);
        },
        batch: (some: D1PreparedStatement[]) => env.ACCOUNTS.batch(some),
      } as unknown as D1Database;
      const noted: Settings = { ...mails.settings, database };
      await register(noted, { username, password }, freshAddress(), Date.now());
      works.push(work);
    }
    for (const work of works) expect(work).toEqual(works[0]);
    expect(await usersNamed(name)).toEqual([]);
    await mailRegistrations(mails.settings, Date.now());
    await mailRegistrations(mails.settings, Date.now());
    expect(mails.to(name).map(({ mail }) => mail.template)).toEqual(
      Array.from({ length: 3 }, () => "confirm-address"),
    );
    expect(mails.to(taken).map(({ mail }) => mail.template)).toEqual(["already-registered"]);
    const stored = await env.ACCOUNTS.prepare(
      "SELECT count(password) AS hashes, count(mail) AS mails FROM registrations WHERE name IN (?, ?)",
    )
      .bind(name, taken)
      .first();
    // Of what no account may come of no hash is kept.
    expect(stored).toEqual({ hashes: 3, mails: 4 });
  });

  it("comes to a mail and, confirmed, to the orchestrator by itself; before that nobody can log in", async () => {
    const username = freshMail();
    const login = { username, password };
    expect(await auth.register(login, freshAddress())).toEqual({ ok: true, value: null });
    const find = () =>
      env.ACCOUNTS.prepare("SELECT id, mailed_at FROM registrations WHERE name = ?")
        .bind(username)
        .first<{ id: string; mailed_at: number | null }>();
    await expect.poll(async () => (await find())?.mailed_at, patiently).toEqual(expect.any(Number));
    const address = freshAddress();
    const before = problemOf(await auth.logIn(login, address));
    expect(before).toEqual(problemOf(await auth.logIn({ username: "x@y.zz", password }, address)));
    const { id } = (await find())!;
    const granted = await auth.confirm({ code: codeOf(settings(), id), password }, address);
    expect(claimsOf(value(granted))).toMatchObject({ sub: `user:${id}`, roles: ["customer"] });
    await expect
      .poll(
        () => env.ACCOUNTS.prepare("SELECT announced_at FROM users WHERE id = ?").bind(id).first(),
        patiently,
      )
      .toEqual({ announced_at: expect.any(Number) as number });
    expect(claimsOf(value(await auth.logIn(login, address))).sub).toBe(`user:${id}`);
  });

  it("needs an address of mail and a queue for mails, and says so whoever it is", async () => {
    const join = (with_: Settings, username: string, email?: string) =>
      register(with_, { username, password, email }, freshAddress(), Date.now());
    const { settings: mails } = mailing();
    const [name, address] = [freshName(), freshMail()];
    expect(await problemFrom(join(mails, name, address))).toMatchObject({
      ...{ status: 422, field: "username" },
    });
    expect(await problemFrom(join(mails, address, freshMail()))).toMatchObject({
      ...{ status: 422, field: "email" },
    });
    await join(mails, address, address.toUpperCase());
    const without = { ...settings(), mails: undefined };
    expect(await problemFrom(join(without, freshMail()))).toMatchObject({ status: 503 });
  });

  it("brings three mails an hour to one address, whoever asks, and is forgotten after that hour", async () => {
    const now = Date.now();
    const name = freshMail();
    const sent = async (at: number) => {
      for (let times = 0; times < 5; times += 1) {
        await noteRegistration(settings(), name, "hash", at);
      }
      const mails = mailing();
      await mailRegistrations(mails.settings, at);
      return mails.to(name).length;
    };
    expect([await sent(now), await sent(now + HOUR - 1), await sent(now + HOUR)]).toEqual([
      3, 0, 3,
    ]);
    await tendRegistrations(settings(), now + HOUR);
    const rows = () =>
      env.ACCOUNTS.prepare("SELECT count(*) AS rows FROM registrations WHERE name = ?")
        .bind(name)
        .first<number>("rows");
    expect(await rows()).toBe(10);
    await tendRegistrations(settings(), now + 2 * HOUR);
    expect(await rows()).toBe(0);
  });
});

describe("a code", () => {
  it("is of no use without the password of its registration", async () => {
    const name = freshMail();
    const his = await pending(name, "the stranger's");
    const hers = await pending(name);
    const refused = await problemFrom(confirmed(his));
    expect(await usersNamed(name)).toEqual([]);
    const granted = await confirmed(hers);
    // The first that is confirmed has the name.
    expect(await problemFrom(confirmed(his, "the stranger's"))).toEqual(refused);
    expect(await usersNamed(name)).toEqual([{ id: claimsOf(granted).sub!.replace("user:", "") }]);
  });

  it("that is wrong, has ended, comes with another password or of another secret is refused alike", async () => {
    const now = Date.now();
    const name = freshMail();
    const code = await pending(name, password, now);
    const taken = freshMail();
    await confirmed(await pending(taken));
    await noteRegistration(settings(), taken, hashPassword(password), now);
    const unmailed = await env.ACCOUNTS.prepare(
      "SELECT id FROM registrations WHERE name = ? AND password IS NULL",
    )
      .bind(taken)
      .first<string>("id");
    const changed = { ...settings({ AUTH_SECRET: "another secret of 32 characters!" }) };
    const last = code.endsWith("0") ? "1" : "0";
    const problems = await Promise.all(
      [
        confirmed(code, "another password"),
        confirmed(code.slice(0, -1) + last),
        confirmed("x"),
        confirmed(code, password, settings(), now + HOUR),
        confirmed(code, password, changed),
        confirmed(codeOf(settings(), unmailed!)),
      ].map(problemFrom),
    );
    for (const problem of problems) expect(problem).toEqual(problems[0]);
    expect(problems[0]).toMatchObject({ status: 401 });
    expect(await usersNamed(name)).toEqual([]);
    expect((await confirmed(code)).token_type).toBe("Bearer");
  });

  it("is guessed at as slowly as a password", async () => {
    const [name, now] = [freshMail(), Date.now()];
    const code = await pending(name, password, now);
    const address = freshAddress();
    for (let tries = 0; tries < 6; tries += 1) {
      await countLogin(settings(), name, address, now);
    }
    const act = () => confirm(settings(), { code, password }, address, now);
    expect(await problemFrom(act())).toMatchObject({ status: 429, retryAfter: 1 });
    const guesser = freshAddress();
    for (let tries = 0; tries < 21; tries += 1) {
      await countLogin(settings(), freshName(), guesser, now);
    }
    const guess = { code: "0".repeat(64), password };
    expect(await problemFrom(confirm(settings(), guess, guesser, now))).toMatchObject({
      status: 429,
    });
  });

  it("is in no row and in no line of the log, whatever goes wrong", async () => {
    const lines: unknown[][] = [];
    for (const level of ["log", "info", "warn", "error", "debug"] as const) {
      vi.spyOn(console, level).mockImplementation((...line) => void lines.push(line));
    }
    const name = freshMail();
    const code = await pending(name);
    await auth.confirm({ code, password: "not hers" }, freshAddress());
    value(await auth.confirm({ code, password }, freshAddress()));
    console.log("a canary");
    const { results } = await env.ACCOUNTS.prepare("SELECT * FROM registrations").all();
    const all = JSON.stringify([lines, results]);
    expect(all).toContain("a canary");
    expect(all).toContain(name);
    expect(all).not.toContain(code.slice(32));
  });
});

describe("a process that dies", () => {
  const now = () => Date.now();

  it("before or after a mail is queued asks for it again, and it is the same one", async () => {
    const names: string[] = [];
    const mails = mailing();
    const fresh = async () => {
      names.push(freshMail());
      await noteRegistration(settings(), names.at(-1)!, "hash", now());
    };
    await fresh();
    const places = await atEveryStatement(
      (broken) => mailRegistrations({ ...broken, mails: mails.settings.mails }, now()),
      async (place) => {
        await mailRegistrations(mails.settings, now());
        const [first, ...again] = mails.to(names.at(-1)!);
        expect(first, place).toBeDefined();
        for (const one of again) expect(one, place).toEqual(first);
        await fresh();
      },
    );
    expect(places).toBe(2);
    // Once before the queue was told, and once after.
    expect(new Set(names.map((name) => mails.to(name).length))).toEqual(new Set([1, 2]));
    await fresh();
    const down = { sendBatch: () => Promise.reject(new Error("The queue is down.")) };
    await expect(
      mailRegistrations({ ...settings(), mails: down as unknown as Queue }, now()),
    ).rejects.toThrow("down");
    await mailRegistrations(mails.settings, now());
    expect(mails.to(names.at(-1)!)).toHaveLength(1);
  });

  it("at any statement of a confirmation leaves one account, which the same code opens, and which is announced", async () => {
    let name = freshMail();
    let code = await pending(name);
    const places = await atEveryStatement(
      (broken) => confirmed(code, password, broken),
      async (place) => {
        const { sub } = claimsOf(await confirmed(code));
        expect(await usersNamed(name), place).toEqual([{ id: sub!.replace("user:", "") }]);
        name = freshMail();
        code = await pending(name);
      },
    );
    expect(places).toBeGreaterThanOrEqual(6);
    const told: { event: { id: string } }[] = [];
    const queue = {
      sendBatch: async (messages: Iterable<{ body: (typeof told)[number] }>) =>
        void told.push(...[...messages].map(({ body }) => body)),
    };
    const listening = settings({ EVENTS_QUEUE: queue as unknown as Queue });
    await announceRegistrations(listening, now());
    const [{ id } = {}] = await usersNamed(name);
    expect(told.filter(({ event }) => event.id === `registration-${String(id)}`)).toHaveLength(1);
  });
});
