import * as v from "valibot";
import { describe, expect, it, vi } from "vitest";
import { incoming } from "../../src/instance/validate.ts";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import {
  ProcessDied,
  runInNode,
  type NodeInstance,
  type NodeOptions,
} from "../../src/testing/index.ts";
import { cards } from "../support/cards.ts";
import { keys, look } from "../support/audited.ts";

const number = "4111-1111-1111-CANARY";
const env = () => ({ SECRETS_KEYS: keys.first, JOURNAL_KEYS: keys.first });
const pay = (how = "charges", value = number) => ({
  type: "PAY",
  data: { card: { number: value, holder: "Carla" }, how },
});

async function begun(options: NodeOptions = {}): Promise<NodeInstance> {
  const instance = runInNode(cards, { env: env(), ...options });
  await instance.start({});
  return instance;
}

/** Everything that is stored, and all that is told. */
const stored = async (instance: NodeInstance): Promise<string> =>
  JSON.stringify([
    ...[instance.dump(), await instance.history(), await instance.view(), instance.sent],
  ]);

const handleOf = async (instance: NodeInstance): Promise<string> =>
  (await instance.view()).context["card"] as string;

describe("a secret field", () => {
  it("is a handle to the chart and wherever it is stored, and its value to whom it is for", async () => {
    const instance = await begun();
    expect(await instance.send(pay())).toMatchObject({ ok: true });
    expect(await handleOf(instance)).toMatch(/^secret_[\w-]{43}$/);
    expect((await instance.view()).context["result"]).toEqual({ last4: "NARY" });
    const text = await stored(instance);
    expect(text).not.toContain(number);
    expect(text).toContain("sealed.1.k1.");
    const { body } = instance.dump().rows["state"]![0] as { body: string };
    expect(body).toContain(await handleOf(instance));
    expect(await look(instance.dump())).toMatchObject({ status: "intact" });
  });

  it("comes under the same handle again, so that a repeat is a repeat", async () => {
    const settings = env();
    const instance = await begun({ env: settings });
    expect(await instance.send(pay(), "k1")).toMatchObject({ reply: { outcome: "applied" } });
    expect(await instance.send(pay(), "k1")).toMatchObject({ reply: { outcome: "duplicate" } });
    const other = await instance.send(pay("charges", "4222-2222-2222-2222"), "k1");
    expect(other).toMatchObject({ ok: false, problem: { status: 409 } });
    settings.SECRETS_KEYS = keys.both;
    await instance.restart();
    expect(await instance.send(pay(), "k1")).toMatchObject({ reply: { outcome: "duplicate" } });
  });

  it("has other handles in another instance", async () => {
    const [one, other] = [await begun({ id: "one" }), await begun({ id: "other" })];
    await one.send(pay());
    await other.send(pay());
    expect(await handleOf(one)).not.toBe(await handleOf(other));
  });

  it("is told to no effect that doesn't declare it", async () => {
    const instance = runInNode(
      {
        ...cards,
        effects: {
          actors: {
            charge: {
              attempts: 1,
              run: ({
                input,
                secret,
              }: {
                input: { card: string };
                secret: (handle: string) => string;
              }) => Promise.resolve().then(() => secret(input.card)),
            },
          },
        },
      } as never,
      { env: env() },
    );
    await instance.start({});
    await instance.send(pay());
    expect((await instance.view()).context["result"]).toMatchObject({
      name: "TerminalError",
      message: expect.stringContaining('doesn\'t declare the secret "PAY.card.number"') as string,
    });
  });

  it.each(["answers", "encodes"])("comes back in no output: an actor that %s", async (how) => {
    const instance = await begun();
    await instance.send(pay(how));
    expect((await instance.view()).context["result"]).toMatchObject({ name: "TerminalError" });
    expect(await stored(instance)).not.toContain(number);
    expect(await stored(instance)).not.toContain(Buffer.from(number).toString("base64"));
  });

  it("comes back in no error, and stands in no log", async () => {
    const logged: unknown[] = [];
    for (const level of ["warn", "error", "info"] as const) {
      vi.spyOn(console, level).mockImplementation((line) => void logged.push(line));
    }
    const instance = await begun();
    await instance.send(pay("fails"));
    expect((await instance.view()).context["result"]).toMatchObject({
      message: "The card [secret] was declined ([secret])",
    });
    expect(logged.join()).toContain("was declined");
    expect(logged.join() + (await stored(instance))).not.toContain(number);
    vi.restoreAllMocks();
  });

  it("waits as a handle, and is checked by its value when its time comes", async () => {
    const instance = await begun();
    await instance.operate({ name: "pause" });
    expect(await instance.send(pay())).toMatchObject({ reply: { outcome: "deferred" } });
    expect(await stored(instance)).not.toContain(number);
    await instance.restart();
    await instance.operate({ name: "resume" });
    expect((await instance.view()).context["result"]).toEqual({ last4: "NARY" });
    await instance.operate({ name: "rewind", to: 1 });
    const told = await instance.simulate([pay()]);
    expect(JSON.stringify(told)).not.toContain(number);
    expect(told.context).toMatchObject({ card: expect.stringMatching(/^secret_/) as string });
    expect(await stored(instance)).not.toContain(number);
  });

  it("of an event that waits is told by no simulation that finds it wrong", async () => {
    const instance = await begun();
    await instance.operate({ name: "pause" });
    await instance.send(pay());
    const never = v.strictObject({
      card: v.strictObject({ number: v.pipe(v.string(), v.regex(/^never$/)), holder: v.string() }),
      how: v.optional(v.string()),
    });
    const PAY = { ...cards.events!["PAY"]!, schema: never };
    await instance.deploy({ ...cards, events: { ...cards.events!, PAY } });
    const told = JSON.stringify(await instance.simulate([{ advance: 1 }]));
    expect(told).toContain("invalid-body");
    expect(told).not.toContain(number);
  });

  it("and what else it carries are told to nobody who may not send it", async () => {
    const instance = await begun();
    await instance.operate({ name: "pause" });
    await instance.send(pay());
    const never = v.strictObject({
      card: v.strictObject({ number: v.string(), holder: v.pipe(v.string(), v.regex(/^never$/)) }),
      how: v.optional(v.string()),
    });
    const narrow: WorkflowDefinition = {
      ...cards,
      access: { ...cards.access, clerk: { instances: "all" } },
      events: { ...cards.events!, PAY: { ...cards.events!["PAY"]!, schema: never } },
    };
    const options = { env: env(), from: instance.dump() };
    const seenBy = async (role: string) =>
      JSON.stringify(
        await runInNode(narrow, { ...options, roles: [role] }).simulate([{ advance: 1 }]),
      );
    expect(await seenBy("operator")).toMatch(/invalid-body.*Carla/);
    expect(await seenBy("clerk")).toContain("invalid-body");
    expect(await seenBy("clerk")).not.toContain("Carla");
  });

  it("has other handles where it is only supposed: nobody tries values against one that is known", async () => {
    const instance = await begun();
    await instance.send(pay());
    const { context } = await instance.view();
    const told = await instance.simulate([pay(), pay()]);
    const handles = JSON.stringify(told).match(/secret_[\w-]+/g)!;
    expect(new Set(handles).size).toBe(1);
    expect(handles).not.toContain(context["card"]);
    const again = await instance.simulate([pay()]);
    expect(JSON.stringify(again)).not.toContain(handles[0]);
  });

  it("comes with a start, at once or later, and its fingerprint tells nothing", async () => {
    for (const startAt of [undefined, Date.UTC(2030, 0, 2)]) {
      const instance = runInNode(cards, { env: env() });
      const start = { event: pay(), ...(startAt === undefined ? {} : { startAt }) };
      await instance.start(start);
      expect(JSON.stringify(instance.dump())).not.toContain(number);
      await instance.start(start);
      await instance.advance(2 * 86_400_000);
      expect((await instance.view()).context["result"]).toEqual({ last4: "NARY" });
      expect(await stored(instance)).not.toContain(number);
      await instance.start(start);
    }
  });

  it("is refused where the deployment has no keys, and nothing is stored", async () => {
    const instance = await begun({ env: {} });
    const before = instance.dump();
    const refused = await instance.send(pay(), "k");
    expect(refused).toMatchObject({ ok: false, problem: { status: 503 } });
    expect(instance.dump()).toEqual(before);
  });

  it("must be a text; what is refused is told without it", async () => {
    const instance = await begun();
    const wrong = { type: "PAY", data: { card: { number: 4_111, holder: "x" } } };
    expect(await instance.send(wrong)).toMatchObject({ ok: false, problem: { status: 422 } });
    const inList = { type: "PAY", data: { card: [{ number }] } };
    const refused = await instance.send(inList);
    expect(refused).toMatchObject({ ok: false, problem: { status: 422 } });
    const bad = { type: "TOKEN", data: { token: number, [number]: 1 } };
    expect(JSON.stringify(await instance.send(bad))).not.toContain(number);
  });

  it("that is wrong in a list, where a schema takes one, is told without it", async () => {
    const one = v.strictObject({ number: v.pipe(v.string(), v.digits()), holder: v.string() });
    const schema = v.strictObject({ card: v.union([one, v.array(one)]) });
    const PAY = { ...cards.events!["PAY"]!, schema };
    const workflows = registerWorkflows({ cards: { ...cards, events: { ...cards.events, PAY } } });
    const data = { card: [{ number, holder: "Carla" }] };
    // As every door does, before the instance is asked.
    const act = () => incoming(workflows.get("cards")!, "PAY", data);
    expect(act).toThrow("data.card.0.number: Invalid value. The field is secret");
    expect(act).not.toThrow(number);
  });

  it("is wrapped by the new key when the instance wakes, after which the old one may go", async () => {
    const settings = env();
    const instance = await begun({ env: settings });
    await instance.send(pay());
    settings.SECRETS_KEYS = keys.both;
    await instance.restart();
    const [row] = instance.dump().rows["secrets"]!;
    expect(row!["sealed"]).toMatch(/^sealed\.1\.k2\./);
    settings.SECRETS_KEYS = keys.second;
    await instance.restart();
    await instance.operate({ name: "rewind", to: 1 });
    await instance.send(pay());
    expect((await instance.view()).context["result"]).toEqual({ last4: "NARY" });
  });

  it("opens in no other instance, and not altered", async () => {
    const instance = await begun({ id: "one" });
    await instance.operate({ name: "pause" });
    await instance.send(pay());
    const dump = instance.dump();
    const [row] = dump.rows["secrets"]!;
    row!["sealed"] = `${(row!["sealed"] as string).slice(0, -4)}AAAA`;
    const altered = runInNode(cards, { id: "one", env: env(), from: dump });
    await altered.operate({ name: "resume" });
    const { outcome, changes } = (await altered.history()).at(-1)!;
    expect({ outcome, why: changes.why }).toMatchObject({
      outcome: "refused",
      why: expect.stringContaining("can't be opened") as string,
    });
  });

  it("that was kept waits for the keys, should they be gone for a while", async () => {
    const settings: Partial<ReturnType<typeof env>> = env();
    const instance = await begun({ env: settings });
    await instance.operate({ name: "pause" });
    await instance.send(pay());
    delete settings.SECRETS_KEYS;
    await instance.restart();
    const resumed = await instance.operate({ name: "resume" });
    expect(resumed).toMatchObject({ ok: false, problem: { status: 503 } });
    settings.SECRETS_KEYS = keys.first;
    await instance.restart();
    await instance.advance(20 * 60_000);
    expect((await instance.view()).context["result"]).toEqual({ last4: "NARY" });
  });

  it.each([
    ["gone", undefined],
    ["malformed", "{}"],
    ["others", keys.second],
  ])(
    "is told to who runs once there are keys again, should they be %s for a while",
    async (_, text) => {
      const settings: { SECRETS_KEYS?: string | undefined } = { SECRETS_KEYS: keys.first };
      const instance = await begun({ env: settings });
      // It dies when the event is committed, and nobody was charged yet.
      instance.crash("after", 1);
      await expect(instance.send(pay(), "k")).rejects.toThrow(ProcessDied);
      settings.SECRETS_KEYS = text;
      await instance.advance(60 * 60_000);
      expect((await instance.view()).retrying).toMatchObject([
        { error: expect.stringContaining("SECRETS_KEYS") as string },
      ]);
      settings.SECRETS_KEYS = keys.first;
      await instance.restart();
      await instance.advance(20 * 60_000);
      expect((await instance.view()).context["result"]).toEqual({ last4: "NARY" });
    },
  );

  it("goes with the instance", async () => {
    const instance = await begun();
    await instance.send(pay());
    await instance.erase({ force: true });
    await instance.operate({ name: "terminate" });
    await instance.erase({ force: true });
    expect(Object.keys(instance.dump().rows)).not.toContain("secrets");
  });

  it("holds together with its event over a crash at any commit", async () => {
    for (const when of ["before", "after"] as const) {
      for (let commit = 1; commit <= 4; commit++) {
        const instance = await begun();
        instance.crash(when, commit);
        for (let tries = 0; tries < 3; tries++) {
          try {
            await instance.send(pay(), "k");
            await instance.advance(60_000);
          } catch (error) {
            if (!(error instanceof ProcessDied)) throw error;
          }
        }
        expect((await instance.view()).context["result"]).toEqual({ last4: "NARY" });
        expect(instance.dump().rows["secrets"]).toHaveLength(1);
      }
    }
  });
});

describe("registration", () => {
  it("refuses a path that is none, and a secret that no event has", () => {
    const events = {
      ...cards.events!,
      PAY: { ...cards.events!["PAY"]!, secrets: ["card..number"] },
    };
    expect(() => registerWorkflows({ cards: { ...cards, events } })).toThrow("no secret field");
    const none = { ...cards.events!, PAY: { ...cards.events!["PAY"]!, secrets: [] } };
    expect(() => registerWorkflows({ cards: { ...cards, events: none } })).toThrow(
      'is to be told the secret "PAY.card.number"',
    );
  });
});
