import { describe, expect, it } from "vitest";
import { workflows } from "../../machines/index.ts";
import { runInNode } from "../../src/testing/index.ts";

const { registrations } = workflows;
const carla = { user: "user:carla", name: "carla", email: "carla@example.test" };
const hour = 3_600_000;

const done = {
  sendWelcome: () => null,
  drawAvatar: () => ({ path: "/api/avatars/user:carla" }),
  reportRegistration: () => null,
};
const failing = () => {
  throw new Error("down");
};

describe("a registration", () => {
  it("does all three side by side, and is joined when all are done", async () => {
    const asked: unknown[] = [];
    const registration = runInNode(registrations, {
      actors: {
        ...done,
        sendWelcome: ({ input }) => void asked.push(input),
      },
    });
    await registration.start({ input: carla });
    expect(asked).toEqual([{ name: "carla", email: "carla@example.test" }]);
    expect(await registration.view()).toMatchObject({
      ...{ status: "done", state: "complete" },
      output: { avatar: "/api/avatars/user:carla", failed: [] },
    });
    expect(registration.sent.map(({ name }) => name)).toEqual(["registration.completed"]);
  });

  it("waits for the slowest, and none waits for another", async () => {
    const registration = runInNode(registrations, {
      actors: { ...done, drawAvatar: () => new Promise(() => {}) },
    });
    await registration.start({ input: carla });
    expect((await registration.view()).state).toEqual({
      settingUp: { welcome: "written", avatar: "drawing", analytics: "reported" },
    });
  });

  it.each([
    ["sendWelcome", "welcome"],
    ["drawAvatar", "avatar"],
    ["reportRegistration", "analytics"],
  ] as const)("comes to its end though %s fails for good", async (actor, task) => {
    const registration = runInNode(registrations, { actors: { ...done, [actor]: failing } });
    await registration.start({ input: carla });
    // Long enough for the others to be done: it is tried for an hour or so.
    await registration.advance(3 * hour);
    expect(await registration.view()).toMatchObject({
      ...{ status: "done", state: "incomplete" },
      output: { failed: [task] },
    });
  });

  it("writes to nobody without an address", async () => {
    const registration = runInNode(registrations, { actors: { ...done, sendWelcome: failing } });
    await registration.start({ input: { user: "user:carla", name: "carla" } });
    expect((await registration.view()).state).toBe("complete");
  });
});
