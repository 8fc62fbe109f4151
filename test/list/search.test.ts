import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import type { Projection } from "../../src/contract/projection.ts";
import { databaseOf, databasesOf } from "../../src/contract/databases.ts";
import type { Listed } from "../../src/list/search.ts";
import { call, tokenFor } from "../support/client.ts";
import { consume, metered, projection, rowsOf } from "../support/listed.ts";
import { randomFrom } from "../support/random.ts";
import app from "../support/worker.ts";

const began = 1_900_000_000_000;
const callerOf = (tenant: string): Caller => ({ tenant, subject: "olga", roles: ["operator"] });

interface Page {
  instances: Listed[];
  counts?: { status: Record<string, number>; state: Record<string, number> };
}

const get = (tenant: string, query: string) =>
  call<Page>("GET", `/orders${query}`, { as: callerOf(tenant) });

/** The page after this one, or null. */
function nextOf(headers: Headers): string | null {
  const link = headers.get("Link");
  return link === null ? null : /^<(.*)>; rel="next"$/.exec(link)![1]!;
}

async function idsOf(tenant: string, query: string): Promise<string[]> {
  const { status, body } = await get(tenant, query);
  expect(status).toBe(200);
  return body.instances.map(({ id }) => id);
}

/** A request with other bindings than the Worker's own. */
async function getWith(bindings: object, tenant: string, path: string) {
  const headers = { Authorization: `Bearer ${await tokenFor(callerOf(tenant))}` };
  const request = new Request(`https://durachart.test${path}`, { headers });
  const response = await app.fetch(request, { ...env, ...bindings } as never);
  return { status: response.status, body: (await response.json()) as Page };
}

describe("GET /{workflow}", () => {
  const random = randomFrom(20_261_122);
  const pick = <Value>(values: readonly Value[]): Value =>
    values[Math.floor(random() * values.length)]!;
  const known = Array.from({ length: 120 }, (_, index) => {
    const states = pick([
      ["orderPizza"],
      ["bakePizza", "bakePizza.pizzaInOven"],
      ["bakePizza", "bakePizza.errorInKitchen"],
      ["delivered"],
    ]);
    const kinds = pick<("blocked" | "exhausted")[]>([
      [],
      [],
      ["blocked"],
      ["exhausted", "blocked"],
    ]);
    return projection({
      ...{ tenant: "searched", id: `o-${index}`, states, version: pick(["1", "2"]) },
      status: states[0] === "delivered" ? "done" : "active",
      attributes: { customer: pick(["anna", "bob", "per cent%&=+ö"]), vip: pick([true, false]) },
      incidents: kinds.map((kind) => ({ kind, what: "w", error: "e", mend: "m" })),
      // Some at the same time.
      createdAt: began + Math.floor(index / 3) * 1_000,
    });
  });

  beforeAll(async () => {
    for (let from = 0; from < known.length; from += 40) {
      await consume(known.slice(from, from + 40));
    }
  });

  const newestFirst = (one: Projection, other: Projection): number =>
    other.createdAt - one.createdAt || (one.object < other.object ? 1 : -1);
  const expected = (isWanted: (one: Projection) => boolean): string[] =>
    known
      .filter(isWanted)
      .toSorted(newestFirst)
      .map(({ id }) => id);

  const filters: Record<string, (one: Projection) => boolean> = {
    "status=active": ({ status }) => status === "active",
    "state=bakePizza": ({ states }) => states.includes("bakePizza"),
    "state=bakePizza.pizzaInOven": ({ states }) => states.includes("bakePizza.pizzaInOven"),
    "version=2": ({ version }) => version === "2",
    "incident=any": ({ incidents }) => incidents.length > 0,
    "incident=exhausted": ({ incidents }) => incidents.some(({ kind }) => kind === "exhausted"),
    "attribute.customer=anna": ({ attributes }) => attributes["customer"] === "anna",
    [`attribute.customer=${encodeURIComponent("per cent%&=+ö")}`]: ({ attributes }) =>
      attributes["customer"] === "per cent%&=+ö",
    "attribute.vip=true": ({ attributes }) => attributes["vip"] === true,
    [`createdAfter=${new Date(began + 10_000).toISOString()}`]: ({ createdAt }) =>
      createdAt >= began + 10_000,
    [`createdBefore=${new Date(began + 30_000).toISOString()}`]: ({ createdAt }) =>
      createdAt < began + 30_000,
  };

  it("gives an instance as it is", async () => {
    const { body } = await get("searched", "?limit=1");
    const [newest] = known.toSorted(newestFirst);
    expect(body).toEqual({
      instances: [
        {
          ...{ id: newest!.id, workflow: "orders", version: newest!.version, epoch: 1, seq: 1 },
          ...{ status: newest!.status, state: newest!.state, incidents: newest!.incidents },
          ...{ attributes: newest!.attributes, due: null },
          createdAt: new Date(newest!.createdAt).toISOString(),
          updatedAt: new Date(newest!.updatedAt).toISOString(),
        },
      ],
    });
  });

  const names = Object.keys(filters);
  const combinations = [
    ...names.map((name) => [name]),
    ...names.flatMap((one, index) => names.slice(index + 1).map((other) => [one, other])),
    ["status=active", "state=bakePizza", "version=2", "incident=any", "attribute.customer=anna"],
  ].filter((combination) => {
    const keys = combination.map((one) => one.split("=")[0]);
    return new Set(keys).size === keys.length;
  });

  it(`finds what fits, by each filter and ${combinations.length - names.length} combinations`, async () => {
    let found = 0;
    for (const combination of combinations) {
      const fits = expected((one) => combination.every((name) => filters[name]!(one)));
      const ids = await idsOf("searched", `?limit=100&${combination.join("&")}`);
      expect(ids, combination.join("&")).toEqual(fits.slice(0, 100));
      found += ids.length;
    }
    expect(found).toBeGreaterThan(500);
  });

  it("finds nothing where nothing fits, and no prefixes of values", async () => {
    expect(await idsOf("searched", "?status=stopped")).toEqual([]);
    expect(await idsOf("searched", "?state=bake")).toEqual([]);
    expect(await idsOf("searched", "?attribute.customer=ann")).toEqual([]);
    expect(await idsOf("searched", "?attribute.nothing=anna&status=active")).toEqual([]);
  });

  it("reads in pages without doubles and gaps, while new ones come", async () => {
    for (const query of ["limit=7", "limit=7&state=bakePizza&incident=any"]) {
      const seen: string[] = [];
      let path: string | null = `/orders?${query}`;
      for (let page = 0; path !== null; page++) {
        const { status, headers, body }: Awaited<ReturnType<typeof get>> = await call<Page>(
          "GET",
          path,
          { as: callerOf("searched") },
        );
        expect(status).toBe(200);
        seen.push(...body.instances.map(({ id }) => id));
        path = nextOf(headers);
        const states = ["bakePizza"];
        const incidents = [{ kind: "blocked" as const, what: "w", error: "e", mend: "m" }];
        const fresh = projection({ tenant: "searched", workflow: "orders", states, incidents });
        await consume([{ ...fresh, id: `new-${page}`, createdAt: began + 1_000_000 + page }]);
        // And others change.
        if (page < 10) await consume([{ ...known[page]!, revision: 2 + page }]);
      }
      const old = seen.filter((id) => id.startsWith("o-"));
      const isBaking = filters["state=bakePizza"]!;
      const isStuck = filters["incident=any"]!;
      const fits =
        query === "limit=7" ? () => true : (one: Projection) => isBaking(one) && isStuck(one);
      expect(old).toEqual(expected(fits));
    }
  });

  it("counts from what is kept, and reads nothing else for it", async () => {
    const count = (isWanted: (one: Projection) => boolean) => known.filter(isWanted).length;
    const tenant = "counted";
    const states = ["bakePizza", "bakePizza.pizzaInOven"];
    const told = Array.from({ length: 30 }, (_, index) =>
      projection({ tenant, states, status: index < 12 ? "active" : "done" }),
    );
    await consume(told);
    const { body } = await get(tenant, "?counts=true&limit=1&status=done");
    expect(body.counts).toEqual({
      status: { active: 12, done: 18 },
      state: { bakePizza: 30, "bakePizza.pizzaInOven": 30 },
    });
    expect(body.instances).toHaveLength(1);
    expect((await get(tenant, "?counts=false")).body.counts).toBeUndefined();
    await consume(told.map((one) => ({ ...one, seq: 2, status: "done", states: ["delivered"] })));
    expect((await get(tenant, "?counts=true")).body.counts).toEqual({
      ...{ status: { done: 30 }, state: { delivered: 30 } },
    });
    const { meter, database } = metered(env.LIST);
    await getWith({ LIST: database }, "searched", "/orders?counts=true&limit=1");
    expect(count(() => true)).toBeGreaterThan(100);
    expect(meter.rowsRead).toBeLessThan(20);
  });

  it("reads about as many rows as it gives, driven by what is rarest", async () => {
    const told = Array.from({ length: 300 }, (_, index) =>
      projection({ tenant: "large", version: index === 7 ? "2" : "1" }),
    );
    for (let from = 0; from < 300; from += 100) await consume(told.slice(from, from + 100));
    const { meter, database } = metered(env.LIST);
    const { body } = await getWith({ LIST: database }, "large", "/orders?status=active&version=2");
    expect(body.instances).toHaveLength(1);
    expect(meter.rowsRead).toBeLessThan(20);
    await getWith({ LIST: database }, "large", "/orders?limit=10");
    expect(meter.rowsRead).toBeLessThan(50);
  });

  it.each([
    ...["limit=0", "limit=101", "limit=x", "limit=1.5", "limit=", "nonsense=1", "status="],
    ...["createdAfter=yesterday", "createdBefore=5", "createdAfter=2026-13-01", "counts=maybe"],
    ...["status=active&status=done", `status=${"x".repeat(300)}`, "tenant=other"],
    ...["cursor=", "cursor=x", "cursor=-", "cursor=1-2", `cursor=zzzzzzzzzzz-${"0".repeat(64)}`],
    ...[`cursor=1-${"g".repeat(64)}`, `cursor=1-${"0".repeat(63)}`, "cursor=%00", "cursor=1'--"],
    Array.from({ length: 21 }, (_, index) => `attribute.a${index}=1`).join("&"),
  ])("refuses %s", async (query) => {
    const { status, body } = await get("searched", `?${query}`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ type: "urn:durachart:problem:bad-parameter" });
  });

  it("is for those who say who they are, of workflows that there are", async () => {
    expect(await call("GET", "/orders", { as: null })).toMatchObject({ status: 401 });
    expect(await call("GET", "/nothing")).toMatchObject({ status: 404 });
  });

  it("shows nobody another tenant's, whatever the cursor", async () => {
    await consume([projection({ tenant: "mine", id: "mine" })]);
    await consume([projection({ tenant: "theirs", id: "theirs" })]);
    const cursor = `zzzzzzzzz-${"f".repeat(64)}`;
    for (const query of [
      "",
      "?status=active",
      `?cursor=${cursor}`,
      `?state=orderPizza&cursor=${cursor}`,
    ]) {
      expect(await idsOf("mine", query)).toEqual(["mine"]);
    }
    expect((await get("mine", "?counts=true")).body.counts!.status).toEqual({ active: 1 });
    expect((await get("nobody", "?counts=true")).body).toEqual({
      ...{ instances: [], counts: { status: {}, state: {} } },
    });
  });

  it("shows a caller only what is in the caller's jurisdiction", async () => {
    const told = ["eu", null].map((jurisdiction) =>
      projection({ tenant: "split", id: jurisdiction ?? "anywhere", jurisdiction }),
    );
    await consume(told);
    expect(await idsOf("split", "")).toEqual(["anywhere"]);
    const { body } = await call<Page>("GET", "/orders", {
      as: { ...callerOf("split"), jurisdiction: "eu" },
    });
    expect(body.instances.map(({ id }) => id)).toEqual(["eu"]);
  });

  it("doesn't list what is erased", async () => {
    const gone = projection({ tenant: "forgetful" });
    await consume([gone]);
    expect(await idsOf("forgetful", "")).toHaveLength(1);
    await consume([{ ...gone, seq: 2, status: "erased" }]);
    expect(await idsOf("forgetful", "")).toEqual([]);
    expect(await idsOf("forgetful", "?status=erased")).toEqual([]);
  });

  it("is not there where no database is bound", async () => {
    const none = await getWith({ LIST: undefined }, "searched", "/orders");
    expect(none).toMatchObject({
      status: 503,
      body: { type: "urn:durachart:problem:not-configured" },
    });
  });
});

describe("several databases", () => {
  const bindings = { LIST: undefined, LIST_1: env.LIST, LIST_2: env.OTHER_LIST };

  it("are LIST, LIST_1, LIST_2 and so on, without a gap", () => {
    const { LIST: one, OTHER_LIST: other } = env;
    expect(databasesOf({ LIST: one })).toEqual([one]);
    expect(databasesOf(bindings)).toEqual([one, other]);
    expect(databasesOf({ LIST_1: one, LIST_3: other })).toEqual([one]);
    expect(databasesOf({})).toEqual([]);
  });

  it("have each tenant in one of them, and a batch is one statement in each", async () => {
    const [one, other] = [metered(env.LIST), metered(env.OTHER_LIST)];
    const tenants = Array.from({ length: 20 }, (_, index) => `tenant-${index}`);
    const told = tenants.map((tenant) => projection({ tenant, id: `of-${tenant}` }));
    const { acks } = await consume(told, {
      ...{ LIST: undefined, LIST_1: one.database, LIST_2: other.database },
    });
    expect(acks).toBe(20);
    expect([one.meter.statements, other.meter.statements]).toEqual([1, 1]);
    const here = await rowsOf<{ tenant: string }>("instances", env.OTHER_LIST);
    expect(here.length).toBeGreaterThan(4);
    expect(here.length).toBeLessThan(16);
    for (const tenant of tenants) {
      const isHere = databaseOf([env.LIST, env.OTHER_LIST], tenant) === env.OTHER_LIST;
      expect(here.some((row) => row.tenant === tenant)).toBe(isHere);
      const { body } = await getWith(bindings, tenant, "/orders");
      expect(body.instances.map(({ id }) => id)).toEqual([`of-${tenant}`]);
    }
  });
});
