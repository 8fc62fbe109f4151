import * as fc from "fast-check";
import { assign, not } from "xstate";
import { describe, expect, it, vi } from "vitest";
import { begin, step, type MachineState } from "../../src/kernel/step.ts";
import { allowed, allowedIn, guardedChart, TYPES, type Asked } from "../support/guarded.ts";
import { randomChart } from "../support/random-chart.ts";
import { Tape } from "../support/tape.ts";

describe("what is allowed", () => {
  const to = { target: ".b" };
  const next = { target: "b" };

  it("passes where a later transition takes what an earlier one leaves", () => {
    const ok = { guard: "ok", ...to };
    const config = { on: { E: [ok, to] }, initial: "b", states: { b: {} } };
    expect(allowed(config)).toEqual({ E: "passes" });
    expect(allowed({ ...config, on: { E: [ok, ok] } })).toEqual({ E: "depends" });
  });

  it("looks into the innermost state first, and above where it has nothing", () => {
    const nested = (inner: object, outer: object = to) => ({
      initial: "a",
      states: { a: { on: { E: inner } }, b: {} },
      on: { E: outer },
    });
    expect(allowed(nested({ guard: "ok", ...next }))).toEqual({ E: "passes" });
    expect(allowed(nested({ guard: not("rich"), ...next }))).toEqual({ E: "passes" });
    expect(allowed(nested({ guard: "ok", ...next }, { guard: "ok", ...to }))).toEqual({
      E: "depends",
    });
    expect(allowed(nested({ guard: not("rich"), ...next }, { guard: not("rich"), ...to }))).toEqual(
      { E: "fails" },
    );
  });

  it("leaves out what is forbidden, though a state above takes it", () => {
    const forbidding = (inner: object | undefined) => ({
      initial: "a",
      states: { a: { on: { E: inner } }, b: {} },
      on: { E: to },
    });
    expect(allowed(forbidding(undefined))).toEqual({});
    expect(allowed(forbidding({}))).toEqual({});
    expect(allowed(forbidding([{ guard: "ok", ...next }, {}] as never))).toEqual({ E: "depends" });
    expect(allowed(forbidding([{ guard: not("rich"), ...next }, {}] as never))).toEqual({
      E: "fails",
    });
    expect(allowed(forbidding({ guard: "rich" }))).toEqual({ E: "fails" });
    expect(allowed(forbidding({ guard: "ok" }))).toEqual({ E: "depends" });
    expect(allowed(forbidding({ guard: not("rich") }))).toEqual({ E: "passes" });
  });

  it("is what any region of a parallel state takes", () => {
    const regions = (p: object | undefined, q: object | undefined, above: object = {}) => ({
      type: "parallel",
      states: { p: { on: { E: p } }, q: { on: { E: q } } },
      on: { E: above },
    });
    const act = { actions: assign({}) };
    expect(allowed(regions({ guard: "ok", ...act }, act))).toEqual({ E: "passes" });
    expect(allowed(regions({ guard: "ok", ...act }, { guard: not("rich"), ...act }))).toEqual({
      E: "depends",
    });
    // Forbidden in one region, it is still the other's; but none of the state's above.
    expect(allowed(regions(undefined, act))).toEqual({ E: "passes" });
    expect(allowed(regions(undefined, { guard: not("rich"), ...act }, act))).toEqual({
      E: "fails",
    });
    expect(allowed(regions({ guard: "throws", ...act }, act))).toEqual({ E: "depends" });
  });

  it("has wildcards as they are, where nobody says which events there are", () => {
    const act = { actions: assign({}) };
    const config = {
      initial: "a",
      states: { a: { on: { "x.*": { guard: "rich", ...act }, "x.y": undefined } } },
      on: { "*": [{ guard: ({ event }: Asked) => event.type === "E", ...act }] },
    };
    expect(allowed(config)).toEqual({ "x.*": "passes", "*": "depends" });
    expect(allowed(config, {}, ["E", "F", "x.y", "x.z"])).toEqual({
      E: "passes",
      F: "fails",
      "x.z": "passes",
    });
    expect(allowed(config, { rich: false }, ["E", "x.y", "x.z"])).toEqual({
      E: "passes",
      "x.z": "fails",
    });
  });

  it("is none of the machine's own", () => {
    expect(
      allowed({ initial: "a", states: { a: { after: { 5: "b" } }, b: {} }, onDone: to }),
    ).toEqual({});
  });
});

const PAYLOADS = [undefined, { ok: true }, { ok: false }, {}, { n: 3 }];

/** Whether XState selects a transition that does something. */
function acts({ snapshot }: MachineState, event: object): boolean {
  const selected = snapshot.machine.getTransitionData(snapshot as never, event as never);
  return selected.some(({ target, actions }) => target !== undefined || actions.length > 0);
}

describe("in any chart", () => {
  it("what passes is taken and what fails is not, whatever the payload", () => {
    const seen = { passes: 0, fails: 0, depends: 0, yes: 0, no: 0 };
    fc.assert(
      fc.property(fc.nat(), fc.array(fc.nat(), { maxLength: 6 }), (seed, choices) => {
        let { state } = begin(guardedChart(new Tape(seed)), undefined);
        for (const choice of [0, ...choices]) {
          const now = allowedIn(state, TYPES);
          for (const type of TYPES) {
            const says = now[type] ?? "fails";
            seen[says as "passes"] += 1;
            const taken = PAYLOADS.map((data) => {
              const event = data === undefined ? { type } : { type, data };
              const does = acts(state, event);
              // What is taken and does nothing was forbidden.
              const next = step(state, event as never);
              if (does) expect(next.taken).toBe(true);
              else expect(next.state.snapshot.value).toEqual(state.snapshot.value);
              return does;
            });
            if (says === "passes") expect(taken).not.toContain(false);
            if (says === "fails") expect(taken).not.toContain(true);
            if (says === "depends") seen[taken.includes(true) ? "yes" : "no"] += 1;
          }
          const data = PAYLOADS[choice % PAYLOADS.length];
          const type = TYPES[choice % TYPES.length]!;
          ({ state } = step(state, (data === undefined ? { type } : { type, data }) as never));
        }
      }),
      { numRuns: 500 },
    );
    for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(50);
  });

  it("of everything that XState can express, too", () => {
    vi.spyOn(console, "warn").mockReturnValue();
    const types = ["E0", "E1", "E2", "E3", "x.y", "x.z"];
    const seen = { passes: 0, fails: 0 };
    fc.assert(
      fc.property(fc.nat(), fc.array(fc.nat(5), { maxLength: 5 }), (seed, choices) => {
        const attempt = <Value>(act: () => Value): Value | null => {
          try {
            return act();
          } catch {
            return null;
          }
        };
        let state = attempt(() => begin(randomChart(new Tape(seed)), undefined).state);
        for (const choice of choices) {
          if (state === null || state.snapshot.status !== "active") return;
          const before = state;
          const now = allowedIn(before, types);
          for (const type of types) {
            const says = now[type] ?? "fails";
            // Its guards look at no payload.
            expect(says).not.toBe("depends");
            seen[says as "passes"] += 1;
            expect(says === "passes").toBe(acts(before, { type }));
          }
          state = attempt(() => step(before, { type: types[choice]! }).state);
        }
      }),
      { numRuns: 150 },
    );
    expect(seen.passes).toBeGreaterThan(200);
    expect(seen.fails).toBeGreaterThan(200);
  });
});
