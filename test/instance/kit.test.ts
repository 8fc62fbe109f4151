import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { runInWorkerd } from "../../src/testing/workerd.ts";
import { freshId, setTime, stubOf } from "../support/client.ts";
import { bakedTooLong, bakeTooLong } from "../support/kit-scenario.ts";

afterEach(() => {
  vi.useRealTimers();
});

describe("the test kit in workerd", () => {
  it("tells the same story as in plain Node", async () => {
    setTime(1_800_000_000_000);
    const id = freshId();
    const order = runInWorkerd({
      stub: stubOf("orders", id) as never,
      address: { tenant: "tropical", workflow: "orders", id },
      evict: (stub) => evictDurableObject(stub),
      ring: (stub) => runDurableObjectAlarm(stub),
      alarmOf: (stub) =>
        runInDurableObject(stub as never, (_instance, { storage }) => storage.getAlarm()),
      now: () => Date.now(),
      setTime,
    });
    expect(await bakeTooLong(order)).toEqual(bakedTooLong);
  });
});
