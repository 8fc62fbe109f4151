import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { registrationInput } from "../../machines/registration/events.ts";
import { isAddress } from "../../services/mailer/shapes.ts";
import { announceRegistrations } from "../../services/auth/registrations.ts";
import { addressOf, register } from "../../services/auth/users.ts";
import { freshAddress, freshName, openly, password, settings } from "./service.ts";

interface Told {
  tenant: string;
  event: { id: string; type: string; subject: string; data: Record<string, string> };
}

/** A queue that keeps what it is given, or gives up. */
function listening(fails = false) {
  const told: Told[] = [];
  const queue = {
    sendBatch: async (messages: Iterable<{ body: Told }>) => {
      if (fails) throw new Error("The queue is down");
      told.push(...[...messages].map(({ body }) => structuredClone(body)));
    },
  };
  return { told, settings: settings({ EVENTS_QUEUE: queue as unknown as Queue }) };
}

const join = (username: string, email?: string) =>
  register(openly(), { username, password, email }, freshAddress(), Date.now());

const aboutNamed = (told: Told[], name: string) =>
  told.filter(({ event }) => event.data["name"] === name);

describe("a registration", () => {
  it("is told once, with what follows from it: an instance of the user's own id", async () => {
    const { told, settings } = listening();
    const name = freshName();
    await join(name, "carla@example.test");
    await join(name, "somebody@else.test");
    await announceRegistrations(settings, Date.now());
    await announceRegistrations(settings, Date.now());
    const [only, ...others] = aboutNamed(told, name);
    expect(others).toEqual([]);
    const id = only!.event.data["user"]!.replace("user:", "");
    expect(only).toMatchObject({
      tenant: "tropical",
      event: {
        ...{ id: `registration-${id}`, type: "durachart.start", subject: `registrations/${id}` },
        data: { user: `user:${id}`, name, email: "carla@example.test" },
      },
    });
  });

  it("is one that the orchestrator takes, and the mailer, whatever name an account may have", async () => {
    const unique = freshName();
    const longest = unique + "🍕".repeat(200 - unique.length);
    for (const name of [longest, `${freshName()}(x)@example.test`]) {
      await join(name);
      const { told, settings } = listening();
      await announceRegistrations(settings, Date.now());
      const [only] = aboutNamed(told, name);
      const { email } = v.parse(registrationInput, only!.event.data);
      expect(email === undefined || isAddress(email)).toBe(true);
    }
  });

  it("that could not be told is told the next time", async () => {
    const name = freshName();
    await join(name);
    await expect(announceRegistrations(listening(true).settings, Date.now())).rejects.toThrow();
    const { told, settings } = listening();
    await announceRegistrations(settings, Date.now());
    expect(aboutNamed(told, name)).toHaveLength(1);
  });

  it("is told twice, as the same, where the process dies before it is noted", async () => {
    const name = freshName();
    await join(name);
    const first = listening();
    const database = {
      prepare: (text: string) => {
        if (text.startsWith("UPDATE")) throw new Error("The process died");
        return first.settings.database.prepare(text);
      },
    };
    const dying = { ...first.settings, database: database as D1Database };
    await expect(announceRegistrations(dying, Date.now())).rejects.toThrow("died");
    const second = listening();
    await announceRegistrations(second.settings, Date.now());
    expect(aboutNamed(second.told, name)).toEqual(aboutNamed(first.told, name));
  });

  it("says where the mail goes: the address given, or a name that is one", async () => {
    const address = async (username: string, email?: string) => {
      const { told, settings } = listening();
      await join(username, email);
      await announceRegistrations(settings, Date.now());
      const { user } = aboutNamed(told, username)[0]!.event.data;
      const there = await addressOf(settings, { tenant: "tropical" }, user!);
      expect(await addressOf(settings, { tenant: "other" }, user!)).toBeNull();
      expect(
        await addressOf(settings, { tenant: "tropical", jurisdiction: "eu" }, user!),
      ).toBeNull();
      return there;
    };
    const name = freshName();
    expect(await address(name)).toBeNull();
    expect(await address(`${name}@example.test`)).toBe(`${name}@example.test`);
    expect(await address(freshName(), "x@example.test")).toBe("x@example.test");
  });
});
