import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { eventually, send, setTime, start, stubOf, view } from "../support/client.ts";
import { resetWorld, world } from "../support/probe.ts";

const began = 1_800_000_000_000;
const second = 1_000;
const minute = 60 * second;

beforeEach(resetWorld);

afterEach(() => {
  vi.useRealTimers();
});

describe("instances that answer each other without end", () => {
  it("are stopped after 32 of them, visibly", async () => {
    const [one, two] = [await start("echoes"), await start("echoes")];
    await send("echoes", one, { type: "PING", data: { from: two } });
    const look = () => Promise.all([view("echoes", one), view("echoes", two)]);
    const [first, other] = await eventually(look, (views) =>
      views.some(({ incidents }) => incidents.length > 0),
    );
    expect((first.context["heard"] as number) + (other.context["heard"] as number)).toBe(33);
    // The first heard the events that had passed through 0, 2 … 32 instances.
    expect(first.incidents).toMatchObject([
      {
        kind: "exhausted",
        what: "command answer",
        error: expect.stringMatching(/33 instances; at most 32/) as string,
      },
    ]);
    expect(other.incidents).toEqual([]);
    const again = await send("echoes", one, { type: "PING", data: { from: two } });
    expect(again.body.outcome).toBe("applied");
  });
});

describe("an instance that keeps itself busy", () => {
  const look = (id: string) => view("spinners", id);
  const ring = (id: string) => runDurableObjectAlarm(stubOf("spinners", id));
  const alarmOf = (id: string) =>
    runInDurableObject(stubOf("spinners", id), (_instance, { storage }) => storage.getAlarm());

  it("by timers that set each other off is stopped until the next minute, and goes on then", async () => {
    setTime(began);
    const id = await start("spinners");
    await send("spinners", id, { type: "BY_TIMERS" });
    setTime(began + 10 * second);
    await ring(id);
    const stopped = await look(id);
    expect(stopped).toMatchObject({ context: { turns: 50 }, timerCount: 1 });
    expect(stopped.incidents).toMatchObject([
      {
        kind: "looping",
        what: "transitions per minute",
        error: expect.stringMatching(/50 transitions/) as string,
      },
    ]);
    expect(await alarmOf(id)).toBe(began + minute);
    setTime(began + minute - 1);
    await ring(id);
    expect((await look(id)).context["turns"]).toBe(50);

    setTime(began + minute);
    await ring(id);
    expect((await look(id)).context["turns"]).toBe(100);
    expect(await alarmOf(id)).toBe(began + 2 * minute);
    // What comes from outside is taken all the same.
    expect(await send("spinners", id, { type: "STOP" })).toMatchObject({ status: 200 });
    setTime(began + 2 * minute);
    await ring(id);
    expect(await look(id)).toMatchObject({ state: "still", incidents: [], timers: [] });
    expect(await alarmOf(id)).toBeNull();
  });

  it("by actors that follow each other is stopped until the next minute, and goes on then", async () => {
    setTime(began);
    const id = await start("spinners");
    await send("spinners", id, { type: "BY_ACTORS" });
    const turns = (count: number) =>
      eventually(
        () => look(id),
        ({ context, incidents }) => context["turns"] === count && incidents.length > 0,
      );
    const stopped = await turns(50);
    expect(stopped.incidents).toMatchObject([{ kind: "looping" }]);
    await evictDurableObject(stubOf("spinners", id));
    setTime(began + minute);
    await ring(id);
    await turns(100);
    await send("spinners", id, { type: "STOP" });
  });

  it("has a result that waited for the next minute tried as often as any other", async () => {
    setTime(began);
    const id = await start("spinners");
    await send("spinners", id, { type: "BY_ACTORS" });
    await eventually(
      () => look(id),
      ({ incidents }) => incidents.length > 0,
    );
    let throws = 0;
    world.guard = () => {
      if (throws === 4) return true;
      throws += 1;
      throw new Error("not now");
    };
    for (let tries = 1; tries <= 5; tries++) {
      setTime(began + tries * minute);
      await ring(id);
    }
    const found = await eventually(
      () => look(id),
      ({ context }) => (context["turns"] as number) > 50,
    );
    expect(throws).toBe(4);
    expect(found.incidents.filter(({ kind }) => kind === "blocked")).toEqual([]);
    await send("spinners", id, { type: "STOP" });
  });
});
