import { once } from "node:events";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import type { ServerFrame } from "../../services/chat/frames.ts";
import type { ChatMessage } from "../../services/contracts/chat.ts";
import { root } from "../../src/cli/fleet.ts";
import { eventually } from "../support/eventually.ts";
import { ShopOnDisk } from "../support/shop-on-disk.ts";

const shop = new ShopOnDisk(
  "test/support/chat-worker.ts",
  `[[durable_objects.bindings]]
name = "ROOMS"
class_name = "Room"
[[migrations]]
tag = "v2"
new_sqlite_classes = ["Room"]
[[d1_databases]]
binding = "CHAT_DB"
database_name = "killed-chat"
database_id = "00000000-0000-0000-0000-00000000000f"
migrations_dir = "${join(root, "services/chat/migrations")}"
`,
  ["LIST", "CHAT_DB"],
);
afterAll(() => shop.remove());

it("What was accepted outlives the process that is killed with its answer, and comes to D1 by itself", async () => {
  await shop.open();
  const order = "o-1";
  expect((await shop.call("POST", "/orders", { id: order })).status).toBe(201);
  const path = `/chat/orders/${order}/messages`;
  const ids = Array.from({ length: 18 }, (_, index) => `m-${index}`);
  const accepted: string[] = [];
  /** Right after the fourth answer, whatever has become of the others. */
  const answered = async (id: string) => {
    accepted.push(id);
    if (accepted.length === 4) await shop.close();
  };
  const headers = { Authorization: `Bearer ${shop.token}` };
  const address = `${shop.url.replace("http", "ws")}/chat/orders/${order}/stream`;
  // Node's own takes headers, which the type of browsers lacks.
  const socket = new WebSocket(address, { headers } as unknown as string[]);
  const ended = once(socket, "close");
  socket.addEventListener("message", ({ data }) => {
    const frame = JSON.parse(String(data)) as ServerFrame;
    if (frame.type === "accepted") void answered(frame.id);
  });
  await once(socket, "open");
  const saying = ids.map(async (id, index) => {
    const said = { id, text: `said as ${id}` };
    if (index % 2 === 0) return socket.send(JSON.stringify({ type: "say", ...said }));
    const { status } = await shop.call("POST", path, said);
    expect(status).toBe(201);
    await answered(id);
  });
  await Promise.allSettled([...saying, ended]);
  expect(accepted.length).toBeGreaterThanOrEqual(4);

  await shop.open();
  const written = async () =>
    JSON.parse((await shop.call("GET", "/written")).text) as { id: string; seq: number }[];
  // Nobody touches the room: its alarm alone brings them there.
  const rows = await eventually(
    written,
    (found) => accepted.every((id) => found.some((row) => row.id === id)),
    40_000,
  );
  const read = JSON.parse((await shop.call("GET", path)).text) as { messages: ChatMessage[] };
  const numbered = read.messages.map(({ id, seq }) => ({ id, seq }));
  expect(numbered).toEqual(rows);
  expect(numbered.map(({ seq }) => seq)).toEqual(numbered.map((_, index) => index + 1));
  // Who got no answer says it again: it is there once.
  for (const id of ids) await shop.call("POST", path, { id, text: `said as ${id}` });
  const { messages } = JSON.parse((await shop.call("GET", path)).text) as typeof read;
  expect(messages.slice(0, numbered.length).map(({ id, seq }) => ({ id, seq }))).toEqual(numbered);
  expect(messages.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
}, 90_000);
