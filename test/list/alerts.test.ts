import { Webhook } from "standardwebhooks";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { clearAlerts, sendAlerts } from "../../src/list/alerts.ts";
import type { ListedIncident } from "../../src/contract/projection.ts";
import { setTime } from "../support/client.ts";
import { consume, projection, rowsOf } from "../support/listed.ts";
import app from "../support/worker.ts";

const settings = { ALERT_URL: "https://alerts.test/in", ALERT_SECRET: env.TEST_WEBHOOK_SECRET };
const minute = 60_000;

interface Sent {
  url: string;
  id: string;
  body: { id: string };
  redirect: string | undefined;
}

/** What arrived at the receiver; it answers as told. */
let sent: Sent[] = [];
let answer: (call: Sent) => Promise<Response> = () => Promise.resolve(new Response());

beforeEach(async () => {
  sent = [];
  answer = () => Promise.resolve(new Response());
  await env.LIST.prepare("DELETE FROM alerts").run();
  vi.spyOn(console, "warn").mockReturnValue();
  vi.spyOn(globalThis, "fetch").mockImplementation((url, init) => {
    const headers = new Headers(init!.headers);
    const body = init!.body as string;
    // Throws where the signature is wrong.
    new Webhook(settings.ALERT_SECRET).verify(body, Object.fromEntries(headers));
    const call = {
      url: url as string,
      id: headers.get("webhook-id")!,
      body: JSON.parse(body) as Sent["body"],
      redirect: init!.redirect,
    };
    sent.push(call);
    return answer(call);
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const blocked: ListedIncident = {
  kind: "blocked",
  what: "timer t",
  error: "boom",
  mend: "POST /x",
};
const exhausted: ListedIncident = {
  kind: "exhausted",
  what: "emit world",
  error: "down",
  mend: "POST /x",
};

describe("an alert", () => {
  it("is sent, signed, for each kind of incident that appears, once", async () => {
    const at = Date.now();
    const told = projection({ revision: at, incidents: [blocked, exhausted, blocked] });
    await consume([told]);
    await sendAlerts([env.LIST], settings, at);
    const payload = { type: "incident", workflow: "orders", id: told.id, tenant: "tropical" };
    const when = new Date(at).toISOString();
    expect(sent.map(({ body }) => body)).toEqual(
      expect.arrayContaining([
        { ...payload, at: when, incident: blocked },
        { ...payload, at: when, incident: exhausted },
      ]),
    );
    expect(sent).toHaveLength(2);
    expect(sent[0]).toMatchObject({ url: settings.ALERT_URL, redirect: "manual" });
    // It stays, and others come and go; then it comes back.
    await consume([{ ...told, revision: at + 1, incidents: [blocked] }]);
    await sendAlerts([env.LIST], settings, at);
    expect(sent).toHaveLength(2);
    await consume([{ ...told, revision: at + 2, incidents: [] }]);
    await consume([{ ...told, revision: at + 3, incidents: [blocked] }]);
    await sendAlerts([env.LIST], settings, at + 3);
    expect(sent).toHaveLength(3);
    expect(await rowsOf("alerts")).toEqual([]);
  });

  it("that fails is sent again, ever further apart, under the same id, and blocks no other", async () => {
    const at = Date.now();
    const [bad, good] = [1, 2].map((revision) =>
      projection({ revision: at + revision, incidents: [blocked] }),
    );
    const failures: ((call: Sent) => Promise<Response>)[] = [
      () => Promise.reject(new Error("refused")),
      () => Promise.resolve(new Response("no", { status: 500 })),
      () => Promise.resolve(Response.redirect("https://elsewhere.test/", 302)),
    ];
    let tries = 0;
    answer = (call) =>
      call.body.id === bad!.id
        ? (failures[tries++] ?? (() => Promise.resolve(new Response())))(call)
        : Promise.resolve(new Response());
    await consume([bad!, good!]);
    let now = at + 10;
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 4; attempt++) {
      setTime(now);
      await sendAlerts([env.LIST], settings, now);
      await sendAlerts([env.LIST], settings, now + 1);
      const [row] = await rowsOf<{ due: number }>("alerts");
      if (row === undefined) break;
      waits.push(row.due - now);
      now = row.due;
    }
    expect(waits).toEqual([minute, 2 * minute, 4 * minute]);
    const ids = sent.filter(({ body }) => body.id === bad!.id).map(({ id }) => id);
    expect(ids).toHaveLength(4);
    expect(new Set(ids).size).toBe(1);
    expect(sent.filter(({ body }) => body.id === good!.id)).toHaveLength(1);
    expect(await rowsOf("alerts")).toEqual([]);
  });

  it("is not sent twice by two that send at once", async () => {
    const at = Date.now();
    await consume(
      Array.from({ length: 60 }, (_, index) =>
        projection({ revision: at + index, incidents: [blocked] }),
      ),
    );
    const later = at + minute;
    await Promise.all([1, 2, 3].map(() => sendAlerts([env.LIST], settings, later)));
    expect(new Set(sent.map(({ id }) => id)).size).toBe(60);
    expect(sent).toHaveLength(60);
  });

  it("is given up after a day, and forgotten after a week", async () => {
    const at = Date.now();
    answer = () => Promise.resolve(new Response(null, { status: 500 }));
    await consume([projection({ revision: at, incidents: [blocked] })]);
    setTime(at + 25 * 60 * minute);
    await sendAlerts([env.LIST], settings, at + 25 * 60 * minute);
    expect(await rowsOf("alerts")).toMatchObject([{ due: null }]);
    await sendAlerts([env.LIST], settings, at + 50 * 60 * minute);
    expect(sent).toHaveLength(1);
    await clearAlerts([env.LIST], at + 6 * 24 * 60 * minute);
    expect(await rowsOf("alerts")).toHaveLength(1);
    await clearAlerts([env.LIST], at + 8 * 24 * 60 * minute);
    expect(await rowsOf("alerts")).toEqual([]);
  });

  it("is sent by the consumer as it comes, and by the cron where that failed", async () => {
    const waiting: Promise<unknown>[] = [];
    const context = { waitUntil: (work: Promise<unknown>) => void waiting.push(work) };
    const bindings = { ...env, ...settings };
    const batchOf = (body: unknown) => {
      const message = { id: "m", timestamp: new Date(), attempts: 1, body, ack: () => {} };
      return { queue: "durachart-list", messages: [message] } as unknown as MessageBatch;
    };
    answer = () => Promise.reject(new Error("refused"));
    const at = Date.now() - 1;
    const told = projection({ revision: at, incidents: [blocked] });
    await app.queue(batchOf(told), bindings, context as unknown as ExecutionContext);
    await Promise.all(waiting);
    expect(sent).toHaveLength(1);
    answer = () => Promise.resolve(new Response());
    await env.LIST.prepare("UPDATE alerts SET due = 0").run();
    await app.scheduled({} as ScheduledController, bindings);
    expect(sent.map(({ id }) => id)).toEqual([sent[0]!.id, sent[0]!.id]);
    // What brings no incident looks for no alert.
    await app.queue(batchOf(projection()), bindings, context as unknown as ExecutionContext);
    expect(waiting).toHaveLength(1);
  });

  it.each([
    ["no address", { ALERT_SECRET: settings.ALERT_SECRET }],
    ["no secret", { ALERT_URL: settings.ALERT_URL }],
    ["plain http", { ...settings, ALERT_URL: "http://alerts.test/in" }],
    ["another protocol", { ...settings, ALERT_URL: "ftp://alerts.test/in" }],
    ["no URL", { ...settings, ALERT_URL: "alerts" }],
    ["a secret that is none", { ...settings, ALERT_SECRET: "§" }],
  ])("is not sent with %s, and waits", async (_, wrong) => {
    vi.spyOn(console, "error").mockReturnValue();
    const at = Date.now();
    await consume([projection({ revision: at, incidents: [blocked] })]);
    await sendAlerts([env.LIST], wrong, at);
    expect(sent).toEqual([]);
    expect(await rowsOf("alerts")).toMatchObject([{ attempts: 0 }]);
  });

  it("goes to this machine by plain http", async () => {
    const at = Date.now();
    await consume([projection({ revision: at, incidents: [blocked] })]);
    const ALERT_URL = "http://localhost:9999/in";
    await sendAlerts([env.LIST], { ...settings, ALERT_URL }, at);
    expect(sent).toMatchObject([{ url: ALERT_URL }]);
  });
});
