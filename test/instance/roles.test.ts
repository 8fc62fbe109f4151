import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import type { Simulation } from "../../src/contract/simulation.ts";
import type { JournalEntry, View } from "../../src/index.ts";
import {
  call,
  eventually,
  freshId,
  history,
  operate,
  operator,
  send,
  view,
} from "../support/client.ts";
import { limits, resetLimits } from "../support/limits.ts";
import { TestSocket } from "../support/socket.ts";

const tenant = operator.tenant;
const anna: Caller = { tenant, subject: "anna", roles: ["claimant"] };
const ben: Caller = { tenant, subject: "ben", roles: ["claimant"] };
const adjuster: Caller = { tenant, subject: "ada", roles: ["adjuster"] };
const auditor: Caller = { tenant, subject: "otto", roles: ["auditor"] };
const stranger: Caller = { tenant, subject: "stan", roles: ["customer"] };

/** Stands in everything that a claimant must not see. */
const canary = "CANARY-NOTE";

async function claimOf(who: Caller, amount = 500): Promise<string> {
  const id = freshId();
  const input = { claimant: who.subject, amount, notes: [`${canary}-0`] };
  const { status } = await call("POST", "/claims", { as: who, body: { id, input } });
  expect(status).toBe(201);
  return id;
}

const note = (id: string, lock = false) =>
  send("claims", id, { type: "NOTE", data: { text: `${canary}-1`, lock } }, { as: adjuster });

const allowedTo = async (id: string, as: Caller) => {
  const { body } = await call<View>("GET", `/claims/${id}`, { as });
  return body.allowed.map(({ type }) => type).toSorted();
};

/** Every way to somebody else's instance. */
const ways = (id: string): [string, string, object?][] => [
  ["GET", `/claims/${id}`],
  ["GET", `/claims/${id}/history`],
  ["GET", `/claims/${id}/history/1`],
  ["POST", `/claims/${id}/events`, { type: "AMEND", data: { amount: 1 } }],
  ["POST", `/claims/${id}/simulate`, { suppose: [{ type: "AMEND", data: { amount: 1 } }] }],
  ["PUT", `/claims/${id}/payloads`, { any: "thing" }],
  ["GET", `/claims/${id}/payloads/${"0".repeat(64)}`],
];

describe("somebody else's instance", () => {
  it("is not there, whatever is asked of it, as if it never were", async () => {
    const id = await claimOf(anna);
    const before = await view("claims", id);
    for (const [method, path, body] of ways(id)) {
      const { status, body: answer } = await call(method, path, { as: ben, body });
      const never = await call(method, path.replace(id, "never-was"), { as: ben, body });
      expect([path, status]).toEqual([path, 404]);
      const same = JSON.stringify(never.body).replaceAll("never-was", id);
      expect(JSON.stringify(answer)).toBe(same);
    }
    expect(await view("claims", id)).toEqual(before);
  });

  it("is not to be watched", async () => {
    const id = await claimOf(anna);
    await expect(TestSocket.open(`/claims/${id}/stream`, { as: ben })).rejects.toThrow(/404/);
    const own = await TestSocket.open(`/claims/${id}/stream`, { as: anna });
    own.close();
  });

  it("that has all the watchers it may have isn't there either", async () => {
    const id = await claimOf(anna);
    limits.watchers = 1;
    try {
      const own = await TestSocket.open(`/claims/${id}/stream`, { as: anna });
      const open = (as: Caller) => TestSocket.open(`/claims/${id}/stream`, { as });
      await expect(open(anna)).rejects.toThrow(/429.*watchers already/);
      await expect(open(ben)).rejects.toThrow(/404/);
      own.close();
    } finally {
      resetLimits();
    }
  });

  it("takes its id, and a start that is the same shows nothing of it", async () => {
    const id = freshId();
    const body = { id, input: { claimant: "anna", amount: 5 } };
    await call("POST", "/claims", { as: anna, body });
    expect(await call("POST", "/claims", { as: anna, body })).toMatchObject({ status: 200 });
    // As operators may start for others, so might a rule: what counts is whose it is.
    const again = await call("POST", "/claims", { as: { ...auditor, roles: ["claimant"] }, body });
    expect(again).toMatchObject({ status: 403 });
    const other = { id, input: { claimant: "ben", amount: 5 } };
    const taken = await call("POST", "/claims", { as: ben, body: other });
    expect(taken).toMatchObject({ status: 409 });
    expect(JSON.stringify(taken.body)).not.toContain("anna");
  });

  it("that is yet to begin is not there either", async () => {
    const id = freshId();
    const startAt = new Date(Date.now() + 3_600_000).toISOString();
    const body = { id, input: { claimant: "anna", amount: 5 }, startAt };
    expect(await call("POST", "/claims", { as: anna, body })).toMatchObject({ status: 201 });
    expect(await call("GET", `/claims/${id}`, { as: anna })).toMatchObject({ status: 200 });
    const event = { type: "AMEND", data: { amount: 1 } };
    expect((await send("claims", id, event, { as: anna })).status).toBe(409);
    expect((await send("claims", id, event, { as: ben })).status).toBe(404);
    expect((await call("GET", `/claims/${id}`, { as: ben })).status).toBe(404);
    expect((await call("GET", `/claims/${id}`, { as: adjuster })).status).toBe(200);
  });
});

describe("a role that the workflow doesn't name", () => {
  it("gets nowhere, not even where there is nothing", async () => {
    const id = await claimOf(anna);
    for (const [method, path, body] of [...ways(id), ["GET", "/claims"] as const]) {
      const { status } = await call(method, path, { as: stranger, body });
      expect([path, status]).toEqual([path, 403]);
    }
    const body = { id: freshId(), input: { claimant: "stan", amount: 1 } };
    expect((await call("POST", "/claims", { as: stranger, body })).status).toBe(403);
  });
});

describe("starting", () => {
  it("is for whom the access says, of what it says", async () => {
    const start = (as: Caller, claimant: string) =>
      call("POST", "/claims", { as, body: { id: freshId(), input: { claimant, amount: 1 } } });
    expect((await start(anna, "anna")).status).toBe(201);
    expect((await start(anna, "ben")).status).toBe(403);
    expect((await start(adjuster, "ada")).status).toBe(403);
    expect((await start(operator, "anna")).status).toBe(201);
  });
});

describe("an event", () => {
  it("is for whom its rule's predicate holds, and `allowed` says the same", async () => {
    const id = await claimOf(anna, 5_000);
    const approve = (as: Caller) => send("claims", id, { type: "APPROVE" }, { as });
    expect(await allowedTo(id, adjuster)).toEqual(["ASSESS", "NOTE"]);
    const refused = await approve(adjuster);
    expect(refused).toMatchObject({ status: 403 });
    expect(refused.body.detail).toMatch(/may not send "APPROVE" to this one as it is/);
    await send("claims", id, { type: "AMEND", data: { amount: 900 } }, { as: anna });
    expect(await allowedTo(id, adjuster)).toEqual(["APPROVE", "ASSESS", "NOTE"]);
    // Nobody approves a claim of their own, whatever roles they have.
    await send("claims", id, { type: "HAND_OVER", data: { to: "ada" } }, { as: anna });
    expect((await approve({ ...adjuster, roles: ["adjuster", "claimant"] })).status).toBe(403);
    expect((await approve({ ...adjuster, subject: "alan" })).status).toBe(200);
  });

  it("is refused where its rule throws", async () => {
    const id = await claimOf(anna);
    expect(await allowedTo(id, anna)).not.toContain("ASK");
    expect((await send("claims", id, { type: "ASK" }, { as: anna })).status).toBe(403);
  });

  it("is judged by what the instance is when it comes, also while it is held", async () => {
    const id = await claimOf(anna);
    expect(await allowedTo(id, anna)).toContain("WITHDRAW");
    await note(id, true);
    expect(await allowedTo(id, anna)).not.toContain("WITHDRAW");
    await operate("claims", id, "pause");
    expect((await send("claims", id, { type: "WITHDRAW" }, { as: anna })).status).toBe(403);
    expect((await send("claims", id, { type: "WITHDRAW" }, { as: ben })).status).toBe(404);
    expect(
      await send("claims", id, { type: "AMEND", data: { amount: 2 } }, { as: anna }),
    ).toMatchObject({ status: 202 });
    await operate("claims", id, "resume");
  });

  it("by which an instance changes hands is told of, and then it is gone", async () => {
    const id = await claimOf(anna);
    const socket = await TestSocket.open(`/claims/${id}/stream`, { as: anna });
    const handed = await send(
      "claims",
      id,
      { type: "HAND_OVER", data: { to: "ben" } },
      { as: anna },
    );
    expect(handed).toMatchObject({ status: 200, body: { id, outcome: "applied", seq: 2 } });
    expect(handed.body).not.toHaveProperty("context");
    expect((await call("GET", `/claims/${id}`, { as: anna })).status).toBe(404);
    expect((await call("GET", `/claims/${id}`, { as: ben })).status).toBe(200);
    await eventually(
      () => Promise.resolve(socket.closed),
      (closed) => closed?.code === 4403,
    );
    expect(socket.entries).toEqual([]);
  });
});

describe("what a role sees", () => {
  it("are the keys that the workflow names, of view, input, changes and output", async () => {
    const id = await claimOf(anna);
    await note(id);
    const shown = async (as: Caller) =>
      (await call<View>("GET", `/claims/${id}`, { as })).body.context;
    expect(await shown(anna)).toEqual({ claimant: "anna", amount: 500 });
    expect(await shown(adjuster)).toEqual({
      amount: 500,
      notes: [`${canary}-0`, `${canary}-1`],
    });
    expect(await shown({ ...adjuster, roles: ["adjuster", "claimant"] })).not.toHaveProperty(
      "claimant",
    );
    expect(await shown(auditor)).toEqual((await view("claims", id)).context);
    const entries = async (as: Caller) =>
      (await call<{ entries: JournalEntry[] }>("GET", `/claims/${id}/history`, { as })).body
        .entries;
    const [started, noted] = await entries(anna);
    expect(started).toMatchObject({
      event: { type: "durachart.started", data: { claimant: "anna", amount: 500 } },
      changes: { context: { set: { claimant: "anna", amount: 500 }, unset: [] } },
      by: "anna",
    });
    expect(noted).toMatchObject({ event: { type: "NOTE" }, changes: {}, by: "somebody" });
    expect(noted!.event).not.toHaveProperty("data");
    expect((await entries(adjuster))[1]).toMatchObject({
      event: { type: "NOTE", data: { text: `${canary}-1` } },
      by: "ada",
    });
    await send("claims", id, { type: "APPROVE" }, { as: adjuster });
    const output = async (as: Caller) =>
      (await call<View>("GET", `/claims/${id}`, { as })).body.output;
    expect(await output(anna)).toEqual({ amount: 500 });
    expect(await output(auditor)).toHaveProperty("notes");
  });

  it("is the same of view, history, moments, stream, simulation and problems", async () => {
    const id = await claimOf(anna);
    const socket = await TestSocket.open(`/claims/${id}/stream?after=0`, { as: anna });
    await note(id);
    const told: unknown[] = [];
    const ask = async (method: string, path: string, body?: object) => {
      const answer = await call(method, `/claims/${id}${path}`, { as: anna, body });
      told.push(answer.body);
      return answer;
    };
    // It fails, and waits to be tried again, with the notes in its error.
    await ask("POST", "/events", { type: "ASSESS" });
    await eventually(
      () => view("claims", id),
      ({ retrying }) => retrying[0]?.error?.includes(canary) === true,
    );
    await ask("GET", "");
    const blurted = await ask("POST", "/events", { type: "BLURT" });
    expect(blurted).toMatchObject({ status: 422 });
    expect((await send("claims", id, { type: "BLURT" })).body.detail).toContain(canary);
    for (let seq = 1; seq <= 3; seq++) await ask("GET", `/history/${seq}`);
    await ask("GET", "/history");
    const suppose = [{ type: "BLURT" }, { type: "AMEND", data: { amount: 3 } }, { advance: 9e6 }];
    const simulated = await ask("POST", "/simulate", { suppose });
    expect((simulated.body as unknown as Simulation).context).toEqual({
      claimant: "anna",
      amount: 3,
    });
    await ask("POST", "/simulate", { suppose, from: 2 });
    const asActor = [{ actor: "0.claim.assessing", output: 1 }];
    expect((await ask("POST", "/simulate", { suppose: asActor })).status).toBe(403);
    await ask("POST", "/events", { type: "NOTE", data: { text: "mine" } });
    await ask("POST", "/events", { type: "APPROVE" });
    await operate("claims", id, "pause", { reason: canary });
    await ask("GET", "");
    await operate("claims", id, "resume");
    await eventually(
      () => Promise.resolve(socket.entries.length),
      (count) => count >= 5,
    );
    expect(JSON.stringify(told)).not.toContain(canary);
    expect(socket.raw.join()).not.toContain(canary);
    expect(JSON.stringify(told)).not.toMatch(/olga|ada/);
    // It was there to be seen.
    expect(JSON.stringify(await history("claims", id))).toContain(canary);
    socket.close();
  });

  it("of events over the socket is judged as over HTTP", async () => {
    const id = await claimOf(anna);
    const socket = await TestSocket.open(`/claims/${id}/stream`, { as: anna });
    const event = { specversion: "1.0", id: "1", source: "/x", type: "NOTE" };
    socket.send(JSON.stringify({ ...event, data: { text: "mine" } }));
    const receipt = await eventually(
      () => Promise.resolve(socket.messages.find(({ type }) => type === "durachart.receipt")),
      (found) => found !== undefined,
    );
    expect(receipt!.data).toMatchObject({ problem: { status: 403 } });
    socket.close();
  });

  it("of events' schemas are those of the events they may send", async () => {
    const schema = (type: string, as: Caller) =>
      call("GET", `/machines/claims/events/${type}`, { as });
    expect((await schema("AMEND", anna)).status).toBe(200);
    expect((await schema("NOTE", anna)).status).toBe(404);
    expect((await schema("NOTE", adjuster)).status).toBe(200);
  });
});

it("an instance of a deployment before this one is its starter's", async () => {
  const id = freshId();
  await call("POST", "/orders", { as: { ...anna, roles: ["customer"] }, body: { id } });
  const stub = env.INSTANCES.getByName(`${tenant}/orders/${id}`);
  const { runInDurableObject } = await import("cloudflare:test");
  const { Store } = await import("../../src/instance/store.ts");
  await runInDurableObject(stub, (_, { storage }) => {
    storage.sql.exec("ALTER TABLE identity DROP COLUMN started_by");
    storage.transactionSync(() => new Store(storage.sql).renew());
    expect(new Store(storage.sql).identity().startedBy).toBe("anna");
  });
});
