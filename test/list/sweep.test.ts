import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import { sweep } from "../../src/list/sweep.ts";
import { call, freshId, operator, send, setTime, stubOf, view } from "../support/client.ts";
import { consume, freshObject, metered, projection, rowOf, rowsOf } from "../support/listed.ts";
import { intercept, resetLister } from "../support/lister.ts";
import app from "../support/worker.ts";

const began = 1_800_000_000_000;
const minute = 60_000;

afterEach(() => {
  vi.useRealTimers();
  resetLister();
});

const cron = () => app.scheduled({} as ScheduledController, env);

async function ring(id: string): Promise<void> {
  await runDurableObjectAlarm(stubOf("probes", id));
  await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A probe that naps for a minute, of which the list knows. */
async function napper() {
  setTime(began);
  const id = freshId();
  const told = intercept(id);
  await call("POST", "/probes", { body: { id } });
  await send("probes", id, { type: "NAP" });
  setTime(began + 1_000);
  await ring(id);
  await consume(told);
  return { id, told, object: stubOf("probes", id).id.toString() };
}

describe("the sweeper", () => {
  it("wakes an instance whose alarm was lost", async () => {
    const { id, told, object } = await napper();
    expect(await rowOf(object)).toMatchObject({ due: began + minute });
    await runInDurableObject(stubOf("probes", id), (_instance, { storage }) =>
      storage.deleteAlarm(),
    );
    await evictDurableObject(stubOf("probes", id));
    setTime(began + 2 * minute);
    await cron();
    const alarm = await runInDurableObject(stubOf("probes", id), (_instance, { storage }) =>
      storage.getAlarm(),
    );
    expect(alarm).not.toBeNull();
    expect(alarm).toBeLessThanOrEqual(began + 2 * minute);
    await ring(id);
    expect(await view("probes", id)).toMatchObject({ state: "idle" });
    await consume(told);
    expect(await rowOf(object)).toMatchObject({ state: '"idle"', due: null });
  });

  it("leaves those in peace that are not late, or only a little", async () => {
    const { told } = await napper();
    setTime(began + 2 * minute - 1);
    await cron();
    expect(told).toHaveLength(1);
    const woken: string[] = [];
    const wake = (object: string) => Promise.resolve(void woken.push(object));
    await sweep([env.LIST], wake, began + 2 * minute);
    expect(woken).toEqual([]);
  });

  it("reads by index: what isn't due costs nothing", async () => {
    const far = began + 1_000 * minute;
    await consume(Array.from({ length: 100 }, () => projection({ due: far })));
    const { meter, database } = metered(env.LIST);
    await sweep([database], () => Promise.resolve(), 1_000);
    expect(meter.rowsRead).toBeLessThan(5);
  });

  it("goes through many, in every database; one that fails or hangs stops nobody", async () => {
    const due = 5_000;
    for (let batch = 0; batch < 3; batch++) {
      const told = Array.from({ length: 100 }, (_, index) =>
        projection({ due: due + batch, tenant: `t-${batch}-${index}` }),
      );
      await consume(told, { LIST: undefined, LIST_1: env.LIST, LIST_2: env.OTHER_LIST });
    }
    const woken: string[] = [];
    const wake = (object: string): Promise<void> => {
      woken.push(object);
      return woken.length % 3 === 0 ? Promise.reject(new Error("gone")) : Promise.resolve();
    };
    const complaint = await sweep([env.LIST, env.OTHER_LIST], wake, 100_000);
    expect(complaint).toEqual({ woken: 200, failed: 100 });
    expect(new Set(woken).size).toBe(300);
    // Those that could not be woken have their turn again, after all others.
    const rows = await rowsOf<{ due: number | null }>("instances", env.OTHER_LIST);
    expect(rows.every((row) => row.due === 100_000)).toBe(true);
  });

  it("takes no more at once than a run may", async () => {
    for (let batch = 0; batch < 6; batch++) {
      await consume(Array.from({ length: 100 }, () => projection({ due: 1 })));
    }
    const { woken } = await sweep([env.LIST], () => Promise.resolve(), 90_000);
    expect(woken).toBe(500);
    const rest = await sweep([env.LIST], () => Promise.resolve(), 90_001);
    expect(rest.woken).toBe(100);
  });

  it("bears with objects that were never started, and with jurisdictions that this runtime lacks", async () => {
    const never = env.INSTANCES.idFromName("tropical/probes/never").toString();
    await consume([
      projection({ object: never, due: 1 }),
      projection({ due: 1, jurisdiction: "eu" }),
      projection({ object: freshObject(), due: 1 }),
    ]);
    setTime(200_000);
    await cron();
  });
});

describe("POST /operations/reindex", () => {
  const administrator = { ...operator, roles: ["administrator"] };
  const post = (objects: unknown, as: Caller = administrator) =>
    call("POST", "/operations/reindex", { body: { objects }, as });

  it("has instances tell the list anew", async () => {
    const { told, id, object } = await napper();
    await env.LIST.prepare("DELETE FROM instances WHERE object = ?").bind(object).run();
    const never = env.INSTANCES.idFromName("tropical/probes/never").toString();
    const { status, body } = await post([{ id: object }, { id: never }]);
    expect({ status, body }).toEqual({ status: 200, body: { woken: 2, failed: [] } });
    setTime(began + 3_000);
    await ring(id);
    await consume(told);
    expect(told.map(({ seq }) => seq)).toEqual([2, 2]);
    expect(await rowOf(object)).toMatchObject({ id, seq: 2 });
  });

  it("says which could not be woken", async () => {
    const object = stubOf("probes", "x").id.toString();
    const foreign = "f".repeat(64);
    const { status, body } = await post([{ id: foreign }, { id: object, jurisdiction: "eu" }]);
    expect(status).toBe(200);
    expect(body).toMatchObject({ woken: 0, failed: [{ id: foreign }, { id: object }] });
  });

  it.each([
    ["no list", undefined],
    ["an id that is none", [{ id: "../x" }]],
    ["more than a page", Array.from({ length: 101 }, () => ({ id: "0".repeat(64) }))],
    ["a jurisdiction that there is not", [{ id: "0".repeat(64), jurisdiction: "moon" }]],
  ])("refuses %s", async (_, objects) => {
    expect(await post(objects)).toMatchObject({ status: 422 });
  });

  it("is for administrators", async () => {
    expect(await post([], operator)).toMatchObject({ status: 403 });
    const anonymous = { as: null, body: { objects: [] } };
    expect(await call("POST", "/operations/reindex", anonymous)).toMatchObject({ status: 401 });
  });
});
