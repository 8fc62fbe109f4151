import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import type { ListedLetter } from "../../src/dead-letters/letters.ts";
import { call, freshId } from "../support/client.ts";
import { consume, projection } from "../support/listed.ts";
import app from "../support/worker.ts";
import {
  die,
  envelope,
  freshTenant,
  list,
  read,
  redrive,
  undertakerOf,
} from "../support/letters.ts";

describe("a dead letter", () => {
  it("is filed with its reason, as its queue's, and read with what it said", async () => {
    const tenant = freshTenant();
    const body = envelope(tenant);
    const reason = { type: "urn:durachart:problem:unknown-event", status: 422, detail: "no such" };
    await die([{ queue: "kitchen", reason, attempts: 2, body }], "durachart-events-dead");
    const [letter] = await list(tenant);
    expect(letter).toMatchObject({
      ...{ origin: "queue:kitchen", status: "dead", subject: "orders/o-1", type: "MAKE_PIZZA" },
      ...{ attempts: 2, reason },
    });
    expect(await read(tenant, letter!.id)).toMatchObject({
      status: 200,
      body: { body, history: [{ what: "died", attempts: 2, reason: { detail: "no such" } }] },
    });
  });

  it("that the platform moved after the last try says so", async () => {
    const tenant = freshTenant();
    await die([envelope(tenant)], "delivery-dead");
    expect(await list(tenant)).toMatchObject([
      { origin: "queue:delivery", attempts: 3, reason: { status: 504 } },
    ]);
  });

  it("is one, however often its message comes, and goes on living when it dies again", async () => {
    const tenant = freshTenant();
    const body = envelope(tenant);
    for (const message of ["m-1", "m-1", "m-2", "m-2"])
      await die([body], "kitchen-dead", [message]);
    const [letter, ...others] = await list(tenant);
    expect(others).toEqual([]);
    expect((await read(tenant, letter!.id)).body.history).toHaveLength(2);
  });

  it("files a whole batch, large ones too", async () => {
    const tenant = freshTenant();
    const large = { data: "x".repeat(60_000) };
    await die(Array.from({ length: 60 }, () => envelope(tenant, large)));
    expect(await list(tenant, "?limit=100")).toHaveLength(60);
  });

  it("with characters that no database takes doesn't take the others along", async () => {
    const tenant = freshTenant();
    const odd = envelope(tenant, { subject: "orders/\ud800\0", type: "\0", data: "\ud800\0" });
    await die([odd, envelope(tenant)]);
    expect(await list(tenant)).toHaveLength(2);
    const letter = (await list(tenant)).find(({ type }) => type !== "MAKE_PIZZA")!;
    expect((await read(tenant, letter.id)).body.body).toEqual(odd);
  });

  it("waits, ever longer, while it can't be filed", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const delays: unknown[] = [];
    for (const attempts of [1, 3, 99]) {
      const retry = (options: unknown) => void delays.push(options);
      const message = { id: "m", timestamp: new Date(), attempts, body: {}, retry };
      const batch = { queue: "kitchen-dead", messages: [message] } as unknown as MessageBatch;
      await app.queue(batch, { ...env, LIST: undefined } as never);
    }
    expect(delays).toEqual([30, 120, 3_600].map((delaySeconds) => ({ delaySeconds })));
    vi.restoreAllMocks();
  });

  it.each([
    ["nothing", null],
    ["a number", 5],
    ["a list", []],
    ["no event", { tenant: 7 }],
  ])("that is %s belongs to nobody, and is filed all the same", async (_, body) => {
    const marker = crypto.randomUUID();
    await die([body], "kitchen-dead", [marker]);
    const { results } = await env.LIST.prepare(
      "SELECT tenant, body FROM dead_letters WHERE message = ?",
    )
      .bind(`kitchen-dead ${marker}`)
      .all();
    expect(results).toEqual([{ tenant: "", body: JSON.stringify(body) }]);
  });
});

describe("sending again", () => {
  it("happens once, however often and by however many it is asked", async () => {
    const tenant = freshTenant();
    const body = envelope(tenant);
    await die([body]);
    const [{ id }] = (await list(tenant)) as [ListedLetter];
    const sent: unknown[] = [];
    const answers = await Promise.all(Array.from({ length: 10 }, () => redrive(tenant, id, sent)));
    // Those that asked while it was being sent may be told so.
    for (const { status } of answers) expect([200, 409]).toContain(status);
    expect((await redrive(tenant, id, sent)).status).toBe(200);
    expect(sent).toEqual([body]);
    expect(await list(tenant)).toEqual([]);
    expect(await list(tenant, "?status=sent")).toMatchObject([{ id }]);
  });

  it("that died in the middle is listed among the dead after a minute, page by page", async () => {
    const tenant = freshTenant();
    await die(Array.from({ length: 3 }, () => envelope(tenant)));
    const ids = (await list(tenant)).map(({ id }) => id);
    const claim = (at: number) =>
      env.LIST.prepare("UPDATE dead_letters SET status = 'sending', changed_at = ? WHERE id = ?")
        .bind(at, ids[1])
        .run();
    await claim(Date.now());
    expect((await list(tenant)).map(({ id }) => id)).toEqual([ids[0], ids[2]]);
    await claim(Date.now() - 61_000);
    expect((await list(tenant)).map(({ id }) => id)).toEqual(ids);
    expect((await list(tenant, "?limit=2")).map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect((await list(tenant))[1]).toMatchObject({ status: "sending" });
  });

  it("that fails leaves it dead, with the reason, to be asked again", async () => {
    const tenant = freshTenant();
    await die([envelope(tenant)]);
    const [{ id }] = (await list(tenant)) as [ListedLetter];
    const sent: unknown[] = [];
    const down = () => Promise.reject(new Error("the queue is down"));
    expect(await redrive(tenant, id, sent, down)).toMatchObject({
      status: 502,
      body: { detail: expect.stringMatching("the queue is down") as string },
    });
    expect((await read(tenant, id)).body.history).toMatchObject([
      { what: "died" },
      { what: "not sent", by: "ursula", reason: "the queue is down" },
    ]);
    expect((await redrive(tenant, id, sent)).status).toBe(200);
    expect(sent).toHaveLength(1);
  });

  it("by somebody who died meanwhile may be taken over after a minute", async () => {
    const tenant = freshTenant();
    await die([envelope(tenant)]);
    const [{ id }] = (await list(tenant)) as [ListedLetter];
    const claimed = (ago: number) =>
      env.LIST.prepare("UPDATE dead_letters SET status = 'sending', changed_at = ? WHERE id = ?")
        .bind(Date.now() - ago, id)
        .run();
    const sent: unknown[] = [];
    await claimed(30_000);
    expect((await redrive(tenant, id, sent)).status).toBe(409);
    await claimed(61_000);
    expect((await redrive(tenant, id, sent)).status).toBe(200);
    expect(sent).toHaveLength(1);
  });

  it("to a place without a way back says so", async () => {
    const tenant = freshTenant();
    await die([envelope(tenant)], "elsewhere-dead");
    const [{ id }] = (await list(tenant)) as [ListedLetter];
    expect(await redrive(tenant, id, [])).toMatchObject({ status: 502 });
  });

  it("is no more once it is discarded", async () => {
    const tenant = freshTenant();
    await die([envelope(tenant)]);
    const [{ id }] = (await list(tenant)) as [ListedLetter];
    const discard = () => call("DELETE", `/dead-letters/${id}`, { as: undertakerOf(tenant) });
    for (let asked = 0; asked < 2; asked++) expect((await discard()).status).toBe(200);
    expect(await redrive(tenant, id, [])).toMatchObject({ status: 409 });
    expect(await list(tenant, "?status=discarded")).toMatchObject([{ id }]);
  });
});

describe("who may", () => {
  it.each([
    ["GET", "/dead-letters"],
    ["GET", "/dead-letters/x"],
    ["POST", "/dead-letters/x/redrive"],
    ["DELETE", "/dead-letters/x"],
    ["POST", "/dead-letters/parked~orders~effect%3A1~o-1/redrive"],
    ["DELETE", "/dead-letters/parked~orders~effect%3A1~o-1"],
  ])("%s %s: only a token with the scope, an operator's too", async (method, path) => {
    expect((await call(method, path, { as: null })).status).toBe(401);
    const operator: Caller = { tenant: "tropical", subject: "olga", roles: ["operator"] };
    expect((await call(method, path, { as: operator })).status).toBe(403);
  });

  it("another tenant sees nothing, and can do nothing", async () => {
    const [tenant, other] = [freshTenant(), freshTenant()];
    await die([envelope(tenant)]);
    const [{ id }] = (await list(tenant)) as [ListedLetter];
    expect(await list(other)).toEqual([]);
    expect((await read(other, id)).status).toBe(404);
    expect((await redrive(other, id, [])).status).toBe(404);
    expect((await call("DELETE", `/dead-letters/${id}`, { as: undertakerOf(other) })).status).toBe(
      404,
    );
    expect(await list(tenant)).toHaveLength(1);
  });
});

describe("a letter that belongs to nobody", () => {
  const run = (roles: string[]): Caller => ({ ...undertakerOf("tropical"), roles });
  const ask = (method: string, path: string, roles: string[]) =>
    call<{ letters: ListedLetter[] }>(method, `/dead-letters${path}unowned=true`, {
      as: run(roles),
    });

  it("is for those who run the deployment: listed, read, discarded", async () => {
    await die([{ lost: true }], "kitchen-dead", [crypto.randomUUID()]);
    expect((await ask("GET", "?", [])).status).toBe(403);
    const { body } = await ask("GET", "?limit=1&", ["administrator"]);
    const [{ id }] = body.letters as [ListedLetter];
    expect((await ask("GET", `/${id}?`, ["operator"])).status).toBe(403);
    expect((await ask("GET", `/${id}?`, ["administrator"])).body).toMatchObject({
      body: { lost: true },
    });
    expect((await ask("DELETE", `/${id}?`, ["administrator"])).status).toBe(200);
    expect((await read("tropical", id)).status).toBe(404);
  });
});

describe("pages", () => {
  it("have no double and no gap", async () => {
    const tenant = freshTenant();
    await die(Array.from({ length: 25 }, () => envelope(tenant)));
    const seen: string[] = [];
    let path: string | null = "/dead-letters?limit=10";
    while (path !== null) {
      const page: Awaited<ReturnType<typeof call<{ letters: ListedLetter[] }>>> = await call(
        "GET",
        path,
        { as: undertakerOf(tenant) },
      );
      seen.push(...page.body.letters.map(({ id }) => id));
      const link: string | null = page.headers.get("Link");
      path = link === null ? null : /^<(.*)>/.exec(link)![1]!;
    }
    expect(new Set(seen).size).toBe(25);
    expect(seen).toHaveLength(25);
  });

  it.each(["?limit=0", "?limit=101", "?status=nope", "?cursor=x", "?other=1"])(
    "refuse %s",
    async (query) => {
      const answer = await call("GET", `/dead-letters${query}`, { as: undertakerOf("tropical") });
      expect(answer.status).toBe(400);
    },
  );
});

describe("erasing an instance", () => {
  it("takes its letters along, and nobody else's", async () => {
    const tenant = freshTenant();
    const id = freshId();
    const known = projection({ tenant, id });
    await consume([known]);
    const other = envelope(tenant, { subject: `orders/${freshId()}` });
    await die([envelope(tenant, { subject: `orders/${id}` }), other]);
    await consume([{ ...known, id: "", status: "erased", epoch: 2, revision: 2 }]);
    expect(await list(tenant)).toMatchObject([{ subject: other.event.subject }]);
  });
});

describe("what an instance keeps parked", () => {
  it("is listed beside them, as far as the list knows", async () => {
    const tenant = freshTenant();
    const incident = {
      ...{ id: "effect:7", kind: "exhausted", what: "emit orderlog", error: "down for a day" },
      mend: "POST /orders/o-7/retry",
    };
    const id = freshId();
    await consume([projection({ tenant, id, incidents: [incident as never] })]);
    expect(await list(tenant)).toMatchObject([
      {
        id: `parked~orders~effect%3A7~${id}`,
        ...{ origin: `instance:orders/${id}`, type: "emit orderlog", status: "dead" },
        reason: { detail: "down for a day" },
      },
    ]);
    expect(await list(tenant, "?origin=queue:kitchen")).toEqual([]);
    expect(await list(tenant, `?origin=instance:orders/${id}`)).toHaveLength(1);
  });
});
