import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { setup } from "xstate";
import { Engine } from "../../src/instance/engine.ts";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import { freshId, operator, stubOf } from "../support/client.ts";

const CANARY = "canary-7f3a";
const TRACE = "0af7651916cd43dd8448eb211c80319c";

const workflows = registerWorkflows({
  probes: {
    machine: setup({
      types: {} as { events: { type: "NOTE"; data: unknown } },
      actions: { tell: (_, _params: unknown) => {} },
    }).createMachine({
      id: "noting",
      initial: "idle",
      states: {
        idle: {
          on: {
            NOTE: {
              target: "noted",
              actions: {
                type: "tell",
                params: ({ event }: { event: { data: unknown } }) => event.data,
              },
            },
          },
        },
        noted: {},
      },
    }),
    effects: { actions: { tell: () => Promise.reject(new Error("nobody listens")) } },
  },
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** All that is logged while an event comes and its action fails, line by line. */
async function logged(bindings: object): Promise<{ id: string; lines: Record<string, unknown>[] }> {
  const lines: Record<string, unknown>[] = [];
  for (const level of ["info", "warn", "error"] as const) {
    vi.spyOn(console, level).mockImplementation((line) => {
      lines.push(JSON.parse(String(line)) as Record<string, unknown>);
    });
  }
  const id = freshId();
  const asked = { address: { tenant: "tropical", workflow: "probes", id }, caller: operator };
  await runInDurableObject(stubOf("probes", id), async (_instance, context) => {
    const engine = new Engine({
      ...{ context, env: { ...env, ...bindings }, workflows, destinations: {}, transports: {} },
      clock: () => Date.now(),
      show: () => {},
    });
    engine.start({ ...asked, input: { secret: CANARY }, fingerprint: "one" });
    const traceparent = `00-${TRACE}-b7ad6b7169203331-01`;
    const event = { type: "NOTE", data: { secret: CANARY } };
    const traced = { trace: traceparent, attributes: { traceparent } };
    engine.send(JSON.stringify({ ...asked, event, ...traced }));
    await vi.waitFor(() => expect(lines.some(({ level }) => level === "warn")).toBe(true));
  });
  return { id, lines };
}

describe("the log", () => {
  it("names tenant, workflow, instance, epoch, seq and trace, and carries no payload", async () => {
    const { id, lines } = await logged({ LOG_LEVEL: "info" });
    const place = { tenant: "tropical", workflow: "probes", instance: id, epoch: 1 };
    expect(lines).toContainEqual({
      ...{ level: "info", message: "transition", ...place, seq: 2, trace: TRACE },
      ...{ event: "NOTE", outcome: "applied", by: operator.subject, state: "noted" },
    });
    expect(lines).toContainEqual({
      ...{ level: "warn", message: "command tell failed", ...place, seq: 2, trace: TRACE },
      attempt: 1,
      error: expect.objectContaining({ name: "Error", message: "nobody listens" }) as object,
    });
    expect(JSON.stringify(lines)).not.toContain(CANARY);
  });

  it("says nothing of what goes well, unless it is asked to", async () => {
    const { lines } = await logged({});
    expect(lines.map(({ message }) => message)).toEqual(["command tell failed"]);
  });
});
