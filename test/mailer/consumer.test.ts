import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import worker, { Mailbox } from "../../services/mailer/worker.ts";
import type { GatewayEnv } from "../../services/gateway/api.ts";
import { openMailbox } from "../../services/gateway/mailbox.ts";
import { consumeMails } from "../../services/mailer/consumer.ts";
import type { MailerEnv } from "../../services/mailer/env.ts";
import { LEASE, MailNote } from "../../services/mailer/ledger.ts";
import { isAddress } from "../../services/mailer/shapes.ts";
import { realmOfOwn } from "../../src/contract/realm.ts";
import {
  addressBook,
  asker,
  deliver,
  envelope,
  everybody,
  freshId,
  later,
  mailbox,
  mailsTo,
  rowOf,
  welcome,
  world,
} from "./service.ts";

afterEach(() => vi.useRealTimers());

const fresh = () => {
  const id = freshId();
  return { id, subject: `user:${id}`, address: `${id}@example.test` };
};

describe("a mail", () => {
  it("is sent once for one id, however often and by however many it is brought", async () => {
    const { id, address } = fresh();
    const body = envelope(id, welcome({ address }));
    const here = world();
    await Promise.all([deliver([body, body], here), deliver([body], here), deliver([body], here)]);
    expect(await deliver([body], here)).toEqual(["acked"]);
    expect(await mailsTo(address)).toMatchObject([
      { to: address, subject: expect.stringMatching(/^Welcome/) as string },
    ]);
    expect((await rowOf(id))!.state).toBe("sent");
  });

  it("of the same id from another source, tenant or jurisdiction is another mail", async () => {
    const { id, address } = fresh();
    const wanted = welcome({ address });
    const mine = envelope(id, wanted);
    const other = { ...mine, event: { ...mine.event, source: "/orders/o1" } };
    const bodies = [mine, other, envelope(id, wanted, { tenant: "elsewhere" })];
    const european = envelope(id, wanted, { tenant: "tropical", jurisdiction: "eu" });
    const here = world();
    expect(await deliver([...bodies, european], here)).toEqual(
      bodies.concat(mine).map(() => "acked"),
    );
    await deliver(bodies, here);
    expect(await mailsTo(address)).toHaveLength(2);
    expect(await mailsTo(address, "elsewhere")).toHaveLength(1);
    const inEurope = await mailbox.mails(
      { ...asker(["operator"]), caller: { ...asker(["operator"]).caller, jurisdiction: "eu" } },
      address,
    );
    expect(inEurope).toMatchObject({ ok: true, value: [{ to: address }] });
  });

  it("to a user goes where the auth service says, for that realm", async () => {
    const { id, subject, address } = fresh();
    const ADDRESSES = addressBook(everybody);
    expect(await deliver([envelope(id, welcome({ subject }))], world({ ADDRESSES }))).toEqual([
      "acked",
    ]);
    expect(ADDRESSES.asked).toEqual([{ whose: { tenant: "tropical" }, subject }]);
    expect(await mailsTo(address)).toHaveLength(1);
  });

  it.each([null, "no address", "a@b.c\r\nBcc: all@example.test"])(
    "to a user whose address is %j is noted, done with, and logged without her",
    async (value) => {
      const logged = vi.spyOn(console, "warn").mockImplementation(() => {});
      const { id, subject } = fresh();
      const ADDRESSES = addressBook(() => ({ ok: true, value }));
      const body = envelope(id, welcome({ subject }));
      for (let time = 0; time < 2; time += 1) {
        expect(await deliver([body], world({ ADDRESSES }))).toEqual(["acked"]);
      }
      expect((await rowOf(id))!.state).toBe("unaddressed");
      expect(ADDRESSES.asked).toHaveLength(1);
      expect(logged).toHaveBeenCalledTimes(1);
      expect(String(logged.mock.calls[0])).not.toContain(id);
      logged.mockRestore();
    },
  );

  it.each<[string, Parameters<typeof world>[0], RegExp]>([
    [
      "the auth service is down",
      { ADDRESSES: { addressOf: () => Promise.reject(new Error("gone")) } },
      /./,
    ],
    [
      "the auth service has a problem",
      {
        ADDRESSES: addressBook(() => ({
          ok: false,
          problem: { type: "x", title: "x", status: 503, detail: "down" },
        })),
      },
      /./,
    ],
    ["no provider is configured", { MAIL_PROVIDER: undefined! }, /./],
    ["its provider is unknown", { MAIL_PROVIDER: "pigeon" }, /./],
    ["its provider lacks its settings", { MAIL_PROVIDER: "http" }, /./],
    [
      "its provider has no safe address",
      {
        MAIL_PROVIDER: "http",
        MAIL_API_URL: "http://mail.example",
        MAIL_API_KEY: "k",
        MAIL_FROM: "f",
      },
      /./,
    ],
  ])("waits ever longer where %s, and is sent afterwards", async (_, broken) => {
    const { id, subject, address } = fresh();
    const body = envelope(id, welcome({ subject }));
    const there = world(broken);
    const waited = [];
    for (const attempts of [1, 2, 3, 9])
      waited.push(...(await deliver([body], there, { attempts })));
    expect(waited).toEqual([5, 10, 20, 300]);
    expect(there.buried).toEqual([]);
    expect((await rowOf(id))!.asked_at).toBeNull();
    expect(await deliver([body], world())).toEqual(["acked"]);
    expect(await mailsTo(address)).toHaveLength(1);
  });

  it.each<[string, (id: string) => unknown]>([
    ["no envelope", () => "nonsense"],
    ["no tenant", (id) => envelope(id, welcome({ address: "a@example.test" }), {})],
    [
      "no such jurisdiction",
      (id) =>
        envelope(id, welcome({ address: "a@example.test" }), { tenant: "t", jurisdiction: "moon" }),
    ],
    ["no data", (id) => envelope(id, undefined)],
    [
      "no such template",
      (id) => envelope(id, { ...welcome({ address: "a@example.test" }), template: "toString" }),
    ],
    [
      "values of another template",
      (id) =>
        envelope(id, {
          template: "order-delivered",
          to: { address: "a@example.test" },
          values: { name: "x" },
        }),
    ],
    [
      "an address that is none",
      (id) => envelope(id, welcome({ address: "a@example.test\nBcc: b@example.test" })),
    ],
    [
      "two addressees",
      (id) => envelope(id, welcome({ address: "a@example.test", subject: "s" } as never)),
    ],
    [
      "another type",
      (id) => ({
        tenant: "tropical",
        event: {
          ...envelope(id, welcome({ address: "a@example.test" })).event,
          type: "mail.unwanted",
        },
      }),
    ],
  ])(
    "with %s goes to the dead letters at once, with its reason, and takes nobody along",
    async (_, make) => {
      const { id, address } = fresh();
      const bad = make(freshId());
      const here = world();
      expect(await deliver([bad, envelope(id, welcome({ address })), bad], here)).toEqual([
        "acked",
        "acked",
        "acked",
      ]);
      expect(here.buried).toHaveLength(2);
      expect(here.buried[0]).toMatchObject({
        queue: "mails",
        body: bad,
        reason: { detail: expect.any(String) as string },
      });
      expect(await mailsTo(address)).toHaveLength(1);
    },
  );

  it("that can't even be buried is brought again", async () => {
    const DEAD_LETTERS = { send: () => Promise.reject(new Error("gone")) } as unknown as Queue;
    expect(await deliver(["nonsense"], world({ DEAD_LETTERS }))).toEqual([5]);
  });
});

describe("a mail that is another consumer's", () => {
  it("waits until that one's lease has ended, then is taken over", async () => {
    const { id, address } = fresh();
    const body = envelope(id, welcome({ address }));
    const note = new MailNote(env.MAILS_DB, realmOfOwn({ tenant: "tropical" }), body.event);
    const first = (await note.claim(Date.now()))!;
    expect(await deliver([body], world())).toEqual([5]);
    expect(await mailsTo(address)).toEqual([]);
    later(LEASE + 1);
    expect(await deliver([body], world())).toEqual(["acked"]);
    // The first was only slow: it must not begin now.
    await expect(first.noteAsking(Date.now())).rejects.toThrow("taken this mail over");
    expect(await mailsTo(address)).toHaveLength(1);
  });
});

describe("an address", () => {
  it.each([
    "a@b.example",
    "jörg@bücher.example",
    "o'neill+x@b.example",
    `${"x".repeat(300)}@b.example`,
  ])("%s is one", (address) => expect(isAddress(address)).toBe(true));

  it.each([
    ...["", "a", "a@b", "@b.example", "a@", "a b@c.example", "a@b@c.example", " a@b.example"],
    ...["Carla <a@b.example>", "a@b.example,c@d.example", "a@b.example;c@d.example"],
    ...["a@b.example\nBcc: c@d.example", "a@b.example\r", "a@b.example\0", `"a"@b.example`],
    ...["a@[127.0.0.1]", "a@b.example\u2028c", `${"x".repeat(320)}@b.example`, "a:b@c.example"],
  ])("%j is none", (address) => expect(isAddress(address)).toBe(false));
});

describe("the ledger", () => {
  it("forgets after 60 days, but not of what nobody knows whether it was sent", async () => {
    const controller = { cron: "", scheduledTime: 0, type: "scheduled", noRetry() {} } as const;
    const [old, unclear, young] = [fresh(), fresh(), fresh()];
    await deliver([envelope(old.id, welcome({ address: old.address }))], world());
    const dies = {
      remembers: Infinity,
      send: () => Promise.reject(new Error("Did it come through?")),
    };
    await deliver([envelope(unclear.id, welcome({ address: unclear.address }))], world(), {
      by: (batch, there) => consumeMails(batch, there, () => dies),
    });
    later(59 * 86_400_000);
    await worker.scheduled(controller, world());
    expect(await rowOf(old.id)).not.toBeNull();
    await deliver([envelope(young.id, welcome({ address: young.address }))], world());
    later(2 * 86_400_000);
    await worker.scheduled(controller, world());
    expect(await rowOf(old.id)).toBeNull();
    expect(await mailsTo(old.address)).toEqual([]);
    expect(await rowOf(unclear.id)).not.toBeNull();
    expect(await mailsTo(young.address)).toHaveLength(1);
  });
});

describe("the mailbox", () => {
  it("is for staff, who see the newest of their own realm first", async () => {
    const one = fresh();
    const here = world();
    for (const subject of ["a", "b"]) {
      await deliver([envelope(freshId(), welcome({ address: one.address }, subject))], here);
      later(1_000);
    }
    expect((await mailsTo(one.address)).map(({ subject }) => subject.at(-1))).toEqual(["b", "a"]);
    expect(await mailsTo(one.address, "elsewhere")).toEqual([]);
    expect(await mailbox.mails(asker(["customer"]))).toMatchObject({
      ok: false,
      problem: { status: 403 },
    });
    expect(await mailbox.isThere()).toEqual({ ok: true, value: true });
  });

  it("is not there where mails are really sent, nor is its page", async () => {
    for (const MAIL_PROVIDER of ["http", undefined]) {
      const there = { ...world(), MAIL_PROVIDER } as MailerEnv;
      const sending = new Mailbox(createExecutionContext(), there);
      expect(await sending.mails(asker(["operator"]))).toMatchObject({
        ...{ ok: false, problem: { status: 404 } },
      });
      const page = await openMailbox(new URL("https://shop.test/mailbox"), {
        MAILBOX: sending,
      } as unknown as GatewayEnv);
      expect(page.status).toBe(404);
    }
    const without = await openMailbox(new URL("https://shop.test/mailbox"), {} as GatewayEnv);
    expect(without.status).toBe(404);
  });
});
