import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { eventually, setTime, start, stubOf, view } from "../support/client.ts";
import { resetWorld, world } from "../support/probe.ts";

const second = 1_000;

beforeEach(resetWorld);

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a policy", () => {
  const work = (actor: string) => ({ type: "WORK", data: { actor, from: 1, to: 1 } });
  const ring = (id: string) => runDurableObjectAlarm(stubOf("lanes", id));
  const retrying = (id: string, attempt: number) =>
    eventually(
      () => view("lanes", id),
      (found) => found.retrying[0]?.attempt === attempt,
    );

  it("has each actor wait as its own backoff says, up to its longest", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    let runs = 0;
    world.actor = () => {
      runs += 1;
      return Promise.reject(new Error("no luck"));
    };
    const id = await start("lanes", work("stubborn"));
    let now = began;
    // Half of 60, then of 120 seconds; it would be 240 next, but 120 is the longest.
    for (const [index, wait] of [30, 60, 60].entries()) {
      const attempt = index + 1;
      const nextTry = new Date(now + wait * second).toISOString();
      expect((await retrying(id, attempt)).retrying).toEqual([
        { what: "actor stubborn", attempt, nextTry, error: "Error: no luck" },
      ]);
      setTime(now + wait * second - 1);
      await ring(id);
      expect(runs).toBe(attempt);
      now += wait * second;
      setTime(now);
      await ring(id);
    }
    const failed = await eventually(
      () => view("lanes", id),
      ({ retrying }) => retrying.length === 0,
    );
    expect(failed.context["failed"]).toEqual([{ name: "Error", message: "no luck" }]);
    expect(runs).toBe(4);
  });

  it("ends a run that takes longer than its timeout, by its signal, and tries it again", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const signals: AbortSignal[] = [];
    world.actor = ({ signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const id = await start("lanes", work("hasty"));
    expect((await retrying(id, 1)).retrying).toEqual([
      {
        what: "actor hasty",
        attempt: 1,
        nextTry: new Date(began + 500).toISOString(),
        error: "Error: hasty took longer than 30 ms",
      },
    ]);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(signals[0]!.reason).toMatchObject({ message: "hasty took longer than 30 ms" });
    setTime(began + 500);
    await ring(id);
    const failed = await eventually(
      () => view("lanes", id),
      ({ context }) => (context["failed"] as unknown[]).length === 1,
    );
    expect(failed).toMatchObject({
      retrying: [],
      context: { failed: [{ message: "hasty took longer than 30 ms" }] },
    });
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  it("that a run keeps to within its timeout leaves its signal alone", async () => {
    let seen: AbortSignal | undefined;
    world.actor = ({ signal }) => {
      seen = signal;
      return Promise.resolve("in time");
    };
    const id = await start("lanes", work("hasty"));
    await eventually(
      () => view("lanes", id),
      ({ context }) => (context["done"] as unknown[]).length === 1,
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(seen!.aborted).toBe(false);
  });
});
