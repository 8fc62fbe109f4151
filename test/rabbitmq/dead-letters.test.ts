import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startEphemeralFleet } from "../../src/cli/fleet.ts";
import { makeSecrets, mintToken, tenant } from "../../src/cli/secrets.ts";
import type { Letter, ListedLetter } from "../../src/dead-letters/letters.ts";
import type { Connection } from "../../src/rabbitmq/connection.ts";
import { DEAD } from "../../src/rabbitmq/topology.ts";
import {
  openConnection,
  readyIn,
  startBroker,
  structured,
  type TestBroker,
} from "../support/broker.ts";
import { eventually } from "../support/eventually.ts";

let broker: TestBroker;
let connection: Connection;
let fleet: Awaited<ReturnType<typeof startEphemeralFleet>>;
let token = "";

beforeAll(async () => {
  broker = await startBroker();
  connection = await openConnection(broker);
  const secrets = makeSecrets();
  fleet = await startEphemeralFleet(secrets, { RABBITMQ_URL: broker.url });
  const ursula = { subject: "ursula", roles: ["operator"], scopes: ["dead-letters"] };
  token = await mintToken(secrets, ursula, "10m");
});

afterAll(async () => {
  await fleet.close();
  await connection.close();
  await broker.remove();
});

async function call<Body>(method: string, path: string): Promise<{ status: number; body: Body }> {
  const headers = { Authorization: `Bearer ${token}` };
  const response = await fetch(new URL(path, fleet.url), { method, headers });
  return { status: response.status, body: (await response.json()) as Body };
}

const letters = async () =>
  (await call<{ letters: ListedLetter[] }>("GET", "/dead-letters")).body.letters;

describe("a message that can't be delivered", () => {
  it("is filed, and then acknowledged; sent again, it dies in the same queue once more", async () => {
    // No order takes such an event.
    const event = {
      ...{ specversion: "1.0", id: "e1", source: "/test", type: "NO_SUCH_EVENT" },
      subject: "orders/o-1",
    };
    await connection.publish(structured("durachart-events", { tenant, event }));
    const [letter] = await eventually(letters, ({ length }) => length === 1);
    expect(letter).toMatchObject({
      ...{ origin: "rabbitmq:durachart-events", status: "dead", subject: "orders/o-1" },
    });
    await eventually(
      () => readyIn(connection, DEAD),
      (ready) => ready === 0,
    );
    const read = async () => (await call<Letter>("GET", `/dead-letters/${letter!.id}`)).body;
    expect((await read()).body).toEqual({ tenant, event });
    const again = await call("POST", `/dead-letters/${letter!.id}/redrive`);
    expect(again.status).toBe(200);
    // Only the queue's own consumer can have filed it a second time.
    const { history, status } = await eventually(
      read,
      (found) => found.history.filter(({ what }) => what === "died").length === 2,
    );
    expect(history).toHaveLength(3);
    expect(status).toBe("dead");
    expect(await letters()).toHaveLength(1);
    await call("DELETE", `/dead-letters/${letter!.id}`);
  });

  it("and can't be read is filed, and not sent again as something else", async () => {
    const message = structured("durachart-events", { tenant, event: {} });
    await connection.publish({ ...message, body: new TextEncoder().encode("not JSON") });
    const [letter] = await eventually(letters, ({ length }) => length === 1);
    const again = await call<{ detail: string }>("POST", `/dead-letters/${letter!.id}/redrive`);
    expect(again.status).toBe(502);
    expect(again.body.detail).toContain("not kept whole");
    expect(await letters()).toHaveLength(1);
  });
});
