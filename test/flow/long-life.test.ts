import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startEphemeralFleet } from "../../src/cli/fleet.ts";
import { makeSecrets, mintToken } from "../../src/cli/secrets.ts";
import type { JournalEntry, PayloadReference } from "../../src/index.ts";

/** Through the shop's gateway, over real connections. */
let fleet: Awaited<ReturnType<typeof startEphemeralFleet>>;
let token = "";

beforeAll(async () => {
  const secrets = makeSecrets();
  fleet = await startEphemeralFleet(secrets);
  token = await mintToken(secrets, { subject: "olga", roles: ["operator"] }, "10m");
});

afterAll(() => fleet.close());

function call(method: string, path: string, body?: BodyInit): Promise<Response> {
  return fetch(new URL(path, fleet.url).href, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    // Node wants to be told that it may send while it has not yet read all.
    ...(body === undefined ? {} : { body, duplex: "half" }),
  } as RequestInit);
}

const json = async <Body>(response: Promise<Response>) => (await (await response).json()) as Body;

async function start(): Promise<string> {
  const id = `long-${crypto.randomUUID()}`;
  const event = { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } };
  await call("POST", "/orders", JSON.stringify({ id, event }));
  return id;
}

it("A payload of 25 MB is streamed up and down; one byte more is refused", async () => {
  const id = await start();
  const content = randomBytes(25_000_000);
  const sha256 = createHash("sha256").update(content).digest("hex");
  for (const body of [new Uint8Array(content), new Blob([new Uint8Array(content)]).stream()]) {
    const reference = await json<PayloadReference>(call("PUT", `/orders/${id}/payloads`, body));
    expect(reference).toEqual({
      ...{ $payload: `sha256-${sha256}`, size: 25_000_000, type: "application/json" },
    });
  }
  const back = await call("GET", `/orders/${id}/payloads/${sha256}`);
  expect(back.headers.get("content-type")).toBe("application/octet-stream");
  expect(
    createHash("sha256")
      .update(await back.bytes())
      .digest("hex"),
  ).toBe(sha256);
  const over = new Blob([new Uint8Array(content), "+"]);
  expect((await call("PUT", `/orders/${id}/payloads`, over)).status).toBe(413);
});

it("A journal is archived, and its history read as before", async () => {
  const id = await start();
  const events = `/orders/${id}/events`;
  for (let n = 2; n < 12; n++) {
    const event = { type: "ADD_PIZZA", data: { id: `p${n}`, pizza: "papaya-picante" } };
    expect((await call("POST", events, JSON.stringify(event))).status).toBe(200);
  }
  const path = `/orders/${id}/history`;
  const before = await json<{ entries: JournalEntry[] }>(call("GET", path));
  // Beside them stand the catalog's answers, as many as came before the next pizza did.
  const added = before.entries.filter(({ event }) => event.type === "ADD_PIZZA");
  expect(added).toHaveLength(11);
  const through = before.entries.length - 2;
  const archived = call("POST", `/orders/${id}/archive`, JSON.stringify({ keep: 2 }));
  expect(await json(archived)).toMatchObject({
    operation: { name: "archive", changed: true, entries: through, through },
  });
  expect(await json(call("GET", path))).toEqual(before);
});
