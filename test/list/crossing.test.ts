import { env } from "cloudflare:workers";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import type { BindingProps } from "../../src/index.ts";
import { call } from "../support/client.ts";
import {
  bind,
  bossOf,
  comparable,
  everythingOf,
  overQueue,
  overSocket,
  overWebhook,
  plain,
  settle,
  type Holdings,
  type Told,
} from "../support/crossing.ts";
import { die } from "../support/letters.ts";
import { consume, projection } from "../support/listed.ts";

const RUNS = 5;
const MOVES = 60;

/** One thing that somebody tries on what is another's, by the names that it is known by there. */
type Attack = (as: Caller, of: Holdings, id: string) => Promise<Told>;

const http =
  (method: string, path: (of: Holdings, id: string) => string, body?: object): Attack =>
  async (as, of, id) => {
    const answer = await call(method, path(of, id), {
      ...{ as, ...(body === undefined ? {} : { body }) },
    });
    return { status: answer.status, body: answer.body };
  };

const binding = ({ tenant, subject, roles }: Caller): BindingProps => ({ tenant, subject, roles });

const operations = ["pause", "resume", "terminate", "retry", "migrate", "archive", "erase"];

const attacks: Record<string, Attack> = {
  view: http("GET", (_, id) => `/orders/${id}`),
  history: http("GET", (_, id) => `/orders/${id}/history`),
  moment: http("GET", (_, id) => `/orders/${id}/history/1`),
  verify: http("GET", (_, id) => `/orders/${id}/verify`),
  simulate: http("POST", (_, id) => `/orders/${id}/simulate`, { suppose: [{ type: "RETRY" }] }),
  rewind: http("POST", (_, id) => `/orders/${id}/rewind`, { to: 1 }),
  discard: http("POST", (_, id) => `/orders/${id}/discard`, { incident: "effect-1" }),
  cancel: http("POST", (_, id) => `/orders/${id}/cancel`, {}),
  ...Object.fromEntries(
    operations.map((name) => [name, http("POST", (_, id) => `/orders/${id}/${name}`)]),
  ),
  start: (as, _, id) =>
    http("POST", () => "/orders", { id, input: { deliverTo: "mine" } })(as, _, id),
  startByKey: async (as, { key }) => {
    const headers = { "Idempotency-Key": key };
    const { status, body } = await call("POST", "/orders", { as, headers, body: {} });
    return { status, body: body["context"] };
  },
  event: async (as, of, id) => {
    const body = { type: "ADD_PIZZA", data: { id: "p2", pizza: "mango-tango" } };
    const headers = { "Idempotency-Key": of.key };
    const answer = await call("POST", `/orders/${id}/events`, { as, body, headers });
    return { status: answer.status, body: answer.body };
  },
  stream: (as, _, id) => overSocket(`/orders/${id}/stream?after=0`, as),
  ticket: async (as, _, id) => {
    const asked = await call<{ ticket: string }>("POST", `/orders/${id}/tickets`, { as });
    return overSocket(`/orders/${id}/stream?ticket=${asked.body.ticket}`, null);
  },
  payload: (as, { sha256 }, id) => plain("GET", `/orders/${id}/payloads/${sha256}`, as),
  upload: (as, _, id) => plain("PUT", `/orders/${id}/payloads`, as),
  list: http("GET", ({ cursor }) => `/orders?limit=2&cursor=${cursor}`),
  find: http("GET", ({ canary }) => `/orders?attribute.customer=${canary}`),
  letters: http("GET", ({ letterCursor }) => `/dead-letters?limit=2&cursor=${letterCursor}`),
  letter: http("GET", ({ letters: [id] }) => `/dead-letters/${id}`),
  redrive: http("POST", ({ letters: [, id] }) => `/dead-letters/${id}/redrive`),
  bury: http("DELETE", ({ letters: [, , id] }) => `/dead-letters/${id}`),
  parked: http("GET", (_, id) => `/dead-letters/parked~orders~1~${id}`),
  unparked: http("POST", (_, id) => `/dead-letters/parked~orders~1~${id}/redrive`),
  endpoint: http("GET", ({ endpoint }) => `/webhooks/${endpoint}`),
  rotate: http("POST", ({ endpoint }) => `/webhooks/${endpoint}/rotate`),
  enable: http("POST", ({ endpoint }) => `/webhooks/${endpoint}/enable`),
  remove: http("DELETE", ({ endpoint }) => `/webhooks/${endpoint}`),
  deliveries: http("GET", ({ endpoint }) => `/webhooks/${endpoint}/deliveries`),
  deliver: http(
    "POST",
    ({ endpoint, delivery }) => `/webhooks/${endpoint}/deliveries/${delivery}/retry`,
  ),
  undeliver: http(
    "DELETE",
    ({ endpoint, delivery }) => `/webhooks/${endpoint}/deliveries/${delivery}`,
  ),
  queue: ({ tenant }, { event }, id) => overQueue(tenant, `orders/${id}`, event),
  webhook: ({ tenant }, { event }, id) => overWebhook(tenant, `orders/${id}`, event),
  bindingGet: async (as, _, id) => ({
    status: "rpc",
    body: await bind(binding(as)).get("orders", id),
  }),
  bindingStart: async (as, _, id) => ({
    status: "rpc",
    body: await bind(binding(as)).start("orders", { id, input: { deliverTo: "mine" } }),
  }),
  bindingSend: async (as, { key }, id) => ({
    status: "rpc",
    body: await bind(binding(as)).send("orders", id, { type: "CANCEL_ORDER", data: {} }, key),
  }),
  // What the envelope says of its tenant is the victim's: the binding's counts.
  bindingDeliver: async (as, { boss, event: named }, id) => {
    const event = { specversion: "1.0", ...named, type: "PIZZA_READY", subject: `orders/${id}` };
    const body = await bind(binding(as)).deliver({ tenant: boss.tenant, event });
    return { status: "rpc", body };
  },
  letterOfSameEvent: async ({ tenant }, { event: named, ids: [first] }) => {
    const event = { specversion: "1.0", ...named, id: "dead-1", type: "COUNT" };
    await die([{ tenant, event: { ...event, subject: `orders/${first}` } }]);
    return { status: "died", body: null };
  },
};

/** Names that something might take for one another, of those that a token may have. */
const confusable: ((base: string) => [string, string])[] = [
  (base) => [base, `${base}.`],
  (base) => [`${base}.`, base],
  (base) => [base.toLowerCase(), base.toUpperCase()],
  (base) => [`${base}-orders`, base],
  (base) => [base, `${base}~`],
  (base) => [`..${base}`, base],
  (base) => [base.padEnd(99, "x"), base.padEnd(100, "x")],
  (base) => [`${base}_2F`, `${base}-2F`],
];

const moves = fc.array(
  fc.record({ attack: fc.constantFrom(...Object.keys(attacks)), target: fc.nat(2) }),
  { minLength: MOVES, maxLength: MOVES },
);

describe("Two tenants whose names are nearly the same", () => {
  const seen = new Set<string>();

  it("get from each other what they would get if the other weren't there, and do each other nothing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...confusable), moves, async (named, sequence) => {
        const base = crypto.randomUUID().slice(0, 13);
        const [attacker, victim] = named(base).map(bossOf) as [Caller, Caller];
        // The same, in a world in which there is nobody to attack.
        const twin = bossOf(`twin-${base}`);
        const canary = `canary-${crypto.randomUUID()}`;
        const holdings = await settle(victim, canary);
        const before = await everythingOf(holdings);
        expect(JSON.stringify(before).split(canary).length).toBeGreaterThan(10);
        for (const { attack, target } of sequence) {
          seen.add(attack);
          const id = holdings.ids[target]!;
          const told = await attacks[attack]!(attacker, holdings, id);
          const alone = await attacks[attack]!(twin, holdings, id);
          expect(JSON.stringify(told)).not.toContain(canary);
          expect({ attack, told: comparable(settled(attack, told), attacker) }).toEqual({
            ...{ attack, told: comparable(settled(attack, alone), twin) },
          });
        }
        expect(await everythingOf(holdings)).toEqual(before);
      }),
      // Whole tenants are built for each try: what fails is told as it is.
      { numRuns: RUNS, endOnFailure: true },
    );
    // Every kind was tried: otherwise there are too few runs.
    expect([...seen].toSorted()).toEqual(Object.keys(attacks).toSorted());
  }, 300_000);
});

/** Names that no token has, but a service binding, a queue or a webhook's sender may be given. */
const odd: ((base: string) => [string, string])[] = [
  (base) => [`${base}/orders`, base],
  (base) => [base, `${base}/orders`],
  (base) => [`${base}/a`, `${base}%2Fa`],
  (base) => [`${base}%2Fa`, `${base}%252Fa`],
  (base) => [`${base}é`, `${base}e\u0301`],
  (base) => [`${base}a`, `${base}\u0430`],
  (base) => [`${base}\u202e`, base],
  (base) => [`${base} `, base],
  (base) => [`${base}a`, `${base}A`],
  (base) => [`${base}\uFFFD`, `${base}?`],
  (base) => [`${base}'--`, base],
  (base) => [`../${base}`, base],
];

describe("Two tenants with names that no token has", () => {
  const name = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...odd) },
    fc
      .tuple(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20 }))
      .map(([one, other]) => (base: string): [string, string] => [
        `${base}${one}`,
        `${base}${other}x`,
      ]),
  );
  const ids = fc
    .constantFrom("orders", "a", "%2F", "..x", "a.")
    .map((text) => text.replace("%", "~"));

  it("have instances of their own under the same id, and know nothing of each other's", async () => {
    await fc.assert(
      fc.asyncProperty(name, ids, async (named, id) => {
        const [mine, other] = named(crypto.randomUUID().slice(0, 13));
        fc.pre(mine !== other && mine.isWellFormed() && other.isWellFormed());
        fc.pre(!`${mine}${other}`.includes("\0"));
        const rights = { subject: "boss", roles: ["operator"] };
        const [attacker, victim] = [mine, other].map((tenant) => bind({ tenant, ...rights }));
        const canary = `canary-${crypto.randomUUID()}`;
        const input = { customer: canary, deliverTo: canary };
        expect(await victim!.start("orders", { id, input })).toMatchObject({ created: true });
        const before = await victim!.get("orders", id);
        const event = { source: "/till", id: "e-1" };
        const told = [
          await attacker!.get("orders", id),
          await attacker!.send("orders", id, { type: "CANCEL_ORDER", data: {} }, "key"),
          await overQueue(mine, `orders/${id}`, event),
          await overWebhook(mine, `orders/${id}`, event),
          await attacker!.start("orders", { id }),
          await attacker!.send("orders", id, { type: "CANCEL_ORDER", data: {} }, "key"),
        ];
        expect(told).toMatchObject([
          ...[
            { ok: false, problem: { status: 404 } },
            { ok: false, problem: { status: 404 } },
          ],
          ...[{ status: "0 1" }, { status: 404 }, { ok: true, created: true }, { ok: true }],
        ]);
        expect(JSON.stringify(told)).not.toContain(canary);
        expect(await victim!.get("orders", id)).toEqual(before);
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  it.each(["", "\0", "a\0", "\uD800", "x".repeat(101)])("%j is no tenant", async (tenant) => {
    const nobody = bind({ tenant, subject: "boss", roles: ["operator"] });
    const denied = { ok: false, problem: { status: 401 } };
    expect(await nobody.start("orders", { id: "x" })).toMatchObject(denied);
    expect(await nobody.get("orders", "x")).toMatchObject(denied);
    const marker = crypto.randomUUID();
    await die([{ tenant, event: { subject: "orders/x" } }], "kitchen-dead", [marker]);
    const filed = await env.LIST.prepare("SELECT tenant FROM dead_letters WHERE message = ?")
      .bind(`kitchen-dead ${marker}`)
      .first();
    expect(filed).toEqual({ tenant: "" });
    const { letters } = await consume([projection({ tenant })]);
    expect(letters).toMatchObject([{ reason: { status: 422 } }]);
  });
});

describe("A tenant's jurisdictions", () => {
  const all = [null, "eu", "us", "fedramp", "fedramp-high"] as const;
  const place = fc.constantFrom(...all);

  it("have lists, counts and letters of their own, the same names in them or not", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(place, { minLength: 1, maxLength: 12 }), async (places) => {
        const tenant = crypto.randomUUID();
        const told = places.map((jurisdiction, index) =>
          projection({ tenant, jurisdiction, id: `o-${index % 3}` }),
        );
        await consume(told);
        const event = {
          specversion: "1.0",
          id: "e",
          source: "/s",
          type: "T",
          subject: "orders/o-0",
        };
        const whose = (jurisdiction: (typeof all)[number]) =>
          jurisdiction === null ? { tenant } : { tenant, jurisdiction };
        await die([...new Set(places)].map((where) => ({ ...whose(where), event })));
        for (const where of all) {
          const as: Caller = { ...bossOf(tenant), ...whose(where) };
          const mine = told.filter(({ jurisdiction }) => jurisdiction === where);
          const list = await call<Lists>("GET", "/orders?counts=true", { as });
          expect(list.body.instances.map(({ id }) => id).toSorted()).toEqual(
            mine.map(({ id }) => id).toSorted(),
          );
          expect(list.body.counts.status).toEqual(mine.length === 0 ? {} : { active: mine.length });
          const dead = await call<Lists>("GET", "/dead-letters", { as });
          expect(dead.body.letters).toHaveLength(mine.length === 0 ? 0 : 1);
          for (const other of all.filter((one) => one !== where)) {
            const stranger: Caller = { ...bossOf(tenant), ...whose(other) };
            for (const { id } of dead.body.letters) {
              const asked = await call("GET", `/dead-letters/${id}`, { as: stranger });
              const thrown = await call("DELETE", `/dead-letters/${id}`, { as: stranger });
              expect([asked.status, thrown.status]).toEqual([404, 404]);
            }
          }
        }
        // One that is erased takes along what was about it, where it was.
        const [first] = told;
        await consume([{ ...first, status: "erased", id: "", seq: 9 }]);
        for (const where of new Set(places)) {
          const as: Caller = { ...bossOf(tenant), ...whose(where) };
          const dead = await call<Lists>("GET", "/dead-letters", { as });
          expect(dead.body.letters).toHaveLength(where === first!.jurisdiction ? 0 : 1);
        }
      }),
      { numRuns: 15 },
    );
  }, 60_000);
});

interface Lists {
  instances: { id: string }[];
  counts: { status: Record<string, number> };
  letters: { id: string }[];
}

describe("Two customers of one tenant", () => {
  /** What is the tenant's and not an owner's is for operators, and asked for above. */
  const theirs = Object.keys(attacks).filter(
    (name) => !/^(start|queue|webhook|binding(Start|Deliver)|letterOf)/.test(name),
  );

  it("are told of each other's orders what they are told of orders that there are not", async () => {
    const victim = bossOf(crypto.randomUUID());
    const canary = `canary-${crypto.randomUUID()}`;
    const holdings = await settle(victim, canary);
    const before = await everythingOf(holdings);
    const as: Caller = { tenant: victim.tenant, subject: "anna", roles: ["customer"] };
    const nothing = { ...holdings, ids: holdings.ids.map((id) => id.replace("o-", "n-")) };
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...theirs), fc.nat(2), async (attack, target) => {
        const [id, none] = [holdings.ids[target]!, nothing.ids[target]!];
        const told = await attacks[attack]!(as, holdings, id);
        const ofNone = await attacks[attack]!(as, nothing, none);
        expect(JSON.stringify(told)).not.toContain(canary);
        expect({ attack, told: comparable(settled(attack, told), as) }).toEqual({
          attack,
          told: comparable(settled(attack, ofNone), as).replaceAll(none, id),
        });
      }),
      { numRuns: 150 },
    );
    expect(await everythingOf(holdings)).toEqual(before);
  }, 60_000);
});

/** The list is behind what happens by chance: who asks may or may not find their own there yet. */
function settled(attack: string, { status, body }: Told): Told {
  if (attack !== "list" && attack !== "find") return { status, body };
  const { instances } = body as { instances?: { owner?: string }[] };
  return { status, body: instances?.filter(({ owner }) => owner !== "boss") ?? body };
}
