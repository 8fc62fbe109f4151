import * as fc from "fast-check";
import type { Ask } from "./ask.ts";
import { closeFrame, frame } from "./frames.ts";
import { TOKEN_PLACE } from "./send.ts";

const upgrade = (path: string, more: readonly string[]) =>
  Buffer.from(
    [
      `GET ${path} HTTP/1.1`,
      ...["Host: shop.test", TOKEN_PLACE, "Connection: Upgrade", "Upgrade: websocket"],
      ...["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", ...more],
      ...["", ""],
    ].join("\r\n"),
    "latin1",
  );

const event = (more: object) =>
  JSON.stringify({ specversion: "1.0", id: "s", source: "//fuzz", type: "RETRY", ...more });

/** Frames of every kind, most of them none that anybody should send. */
const frames = fc.oneof(
  fc
    .oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        "ping",
        "confirm",
        "confirm -1",
        "confirm 9e99",
        "{",
        "[]",
        event({}),
        event({ data: {} }),
        event({ specversion: "0" }),
        event({ type: "PIZZA_EATEN" }),
        event({ subject: "orders/other" }),
        event({ id: "" }),
        "x".repeat(70_000),
      ),
    )
    .map((text) => frame(0x1, Buffer.from(text.toWellFormed()))),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => frame(0x2, Buffer.from(bytes))),
  fc.constantFrom("ff", "c0af", "eda080").map((bytes) => frame(0x1, Buffer.from(bytes, "hex"))),
  fc.constantFrom(0x3, 0x7, 0xb, 0xf).map((opcode) => frame(opcode, Buffer.from("x"))),
  fc.constantFrom(0x9, 0xa).map((opcode) => frame(opcode, Buffer.alloc(126))),
  fc.constant(frame(0x1, Buffer.from("unmasked"), { masked: false })),
  fc.constant(frame(0x1, Buffer.from("x"), { reserved: 0x70 })),
  fc.constant(frame(0x1, Buffer.from("half"), { final: false })),
  fc.constant(frame(0x0, Buffer.from("rest"))),
  fc
    .constantFrom("7fffffffffffffff", "ffffffffffffffff")
    .map((length) => Buffer.from(`81ff${length}00000000`, "hex")),
  fc.constantFrom(0, 999, 1_000, 1_005, 1_006, 4_999, 65_535).map(closeFrame),
  fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
);

const mostly = <Value>(good: fc.Arbitrary<Value>, bad: fc.Arbitrary<Value>) =>
  fc.oneof({ weight: 7, arbitrary: good }, { weight: 1, arbitrary: bad });

/** A watcher who says nonsense, of an order that takes none of it. */
export const watchers: fc.Arbitrary<Ask> = fc
  .record({
    tenant: fc.nat({ max: 4 }),
    as: mostly(
      fc.constantFrom("customer" as const, "operator" as const),
      fc.constant("other" as const),
    ),
    id: mostly(
      fc.constantFrom("baking", "delivered", "oven"),
      fc.constantFrom("erased", "scheduled", "nobody-1"),
    ),
    query: mostly(
      fc.constantFrom("", "?after=0", "?epoch=7"),
      fc.constantFrom("?after=-1", "?after=99", "?ticket=x"),
    ),
    more: mostly<readonly string[]>(
      fc.constantFrom(
        [],
        ["Sec-WebSocket-Protocol: cloudevents.json"],
        ["Origin: https://shop.test"],
      ),
      fc.constantFrom(
        ["Sec-WebSocket-Protocol: chat"],
        ["Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=x"],
        ["Origin: https://evil.test"],
      ),
    ),
    frames: fc.array(frames, { maxLength: 4 }),
  })
  .map(({ tenant, as, id, query, more, frames }) => {
    const path = `/orders/${id}/stream${query}`;
    return {
      ...{ tenant, as, method: "GET", path, headers: [] },
      raw: { kind: "frames", bytes: upgrade(path, more), end: "wait" as const, frames },
    };
  });
