import { gzipSync, deflateSync, brotliCompressSync } from "node:zlib";
import fc from "fast-check";
import type { Ask } from "./ask.ts";
import { closeFrame, frame } from "./frames.ts";
import { TOKEN_PLACE } from "./send.ts";

/** Makes something wrong that a door must see, and nothing that would make a refused request good. */
type Mutation = (ask: Ask) => Ask;

const without = (ask: Ask, ...names: string[]): Ask["headers"] =>
  ask.headers.filter(([name]) => !names.includes(name.toLowerCase()));
const withHeader =
  (name: string, value: string): Mutation =>
  (ask) => ({ ...ask, headers: [...ask.headers, [name, value]] });
const inPlaceOf =
  (name: string, value: string): Mutation =>
  (ask) => ({ ...ask, headers: [...without(ask, name.toLowerCase()), [name, value]] });
/** Only what may have a body gets another. */
const body =
  (make: (old: Buffer) => Buffer): Mutation =>
  (ask) =>
    ask.body === undefined ? ask : { ...ask, body: make(ask.body) };

const zeros = Buffer.alloc(30_000_000);
/** 30 MB each, once they were unpacked. */
const bombs = { gzip: gzipSync(zeros), deflate: deflateSync(zeros), br: brotliCompressSync(zeros) };

const deep = (open: string, close: string, depth: number) =>
  Buffer.from(open.repeat(depth) + "1" + close.repeat(depth));

const bodies: fc.Arbitrary<Mutation> = fc.oneof(
  // No UTF-8, anywhere.
  fc
    .tuple(
      fc.nat({ max: 300 }),
      fc.constantFrom("ff", "c0af", "eda080", "f4908080", "80", "e282", "00", "efbbbf", "fffe"),
    )
    .map(([at, bytes]) =>
      body((old) =>
        Buffer.concat([
          old.subarray(0, at % (old.length + 1)),
          Buffer.from(bytes, "hex"),
          old.subarray(at % (old.length + 1)),
        ]),
      ),
    ),
  // Cut off, or with something behind it.
  fc.nat({ max: 300 }).map((at) => body((old) => old.subarray(0, at % Math.max(1, old.length)))),
  fc
    .constantFrom("}", " x", ",", "\0", "{}", "//")
    .map((more) => body((old) => Buffer.concat([old, Buffer.from(more)]))),
  // A key twice: the same, so that whichever counts is as wrong as before.
  fc.constant(
    body((old) => {
      const text = old.toString();
      const member = /^\{("[^"]*":(?:"[^"]*"|\d+))/.exec(text)?.[1];
      return member === undefined ? old : Buffer.from(`{${member},${text.slice(1)}`);
    }),
  ),
  fc
    .constantFrom(
      "1e400",
      "-1e400",
      "9".repeat(400),
      "-0",
      "1E-9999",
      "9007199254740993",
      "0x1",
      "NaN",
      "01",
    )
    .map((number) =>
      body((old) =>
        old[0] === 0x7b
          ? Buffer.from(
              `{"huge":${number}${old.length > 2 ? "," : ""}${old.subarray(1).toString()}`,
            )
          : Buffer.from(number),
      ),
    ),
  fc
    .constantFrom("__proto__", "constructor", "prototype", "toString", "")
    .map((name) =>
      body((old) =>
        old[0] === 0x7b
          ? Buffer.from(
              `{"${name}":{"x":1}${old.length > 2 ? "," : ""}${old.subarray(1).toString()}`,
            )
          : old,
      ),
    ),
  fc
    .constantFrom<[string, string, number]>(
      ["[", "]", 33],
      ["[", "]", 9_000],
      ['{"a":', "}", 5_000],
      ["[", "", 60_000],
      ['{"a":[', "]}", 100],
    )
    .map(([open, close, depth]) => body(() => deep(open, close, depth))),
  fc
    .constantFrom("", "null", "true", "[]", '"x"', "1", "[[]]", '""', "\u2028", "undefined", "'x'")
    .map((text) => body(() => Buffer.from(text))),
  fc
    .constantFrom(65_536, 65_537, 70_000, 1_048_577)
    .map((length) => body(() => Buffer.from(`{"large":"${"x".repeat(length)}"}`))),
  fc.constantFrom(...(Object.keys(bombs) as (keyof typeof bombs)[])).map(
    (name): Mutation =>
      (ask) =>
        ask.body === undefined
          ? ask
          : { ...ask, headers: [...ask.headers, ["Content-Encoding", name]], body: bombs[name] },
  ),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => body(() => Buffer.from([0xfe, ...bytes]))),
);

const token = (header: object, claims: object) =>
  `Bearer ${[header, claims].map((one) => Buffer.from(JSON.stringify(one)).toString("base64url")).join(".")}`;
const claims = { sub: "olga", tenant: "tropical", roles: ["operator"], exp: 4_000_000_000 };

/** Of credentials only such as are none: another's would make another request of it. */
const credentials: fc.Arbitrary<Mutation> = fc
  .constantFrom(
    null,
    ...[
      "",
      "Bearer",
      "Bearer ",
      "Bearer a.b.c",
      "Basic eDp5",
      "bearer \xff",
      "Bearer ..",
      "Digest x",
    ],
    ...["Bearer a.b.c, Bearer d.e.f", `Bearer ${"x".repeat(5_000)}`, "Bearer e30.e30.e30"],
    `${token({ alg: "none" }, claims)}.`,
    `${token({ alg: "HS256", typ: "at+jwt" }, claims)}.AAAA`,
    `${token({ alg: "EdDSA", typ: "at+jwt", kid: "x", jku: "https://x.y" }, claims)}.AAAA`,
    `${token({ alg: "EdDSA", typ: "at+jwt", kid: "__proto__" }, claims)}.AAAA`,
  )
  .map((value): Mutation => (ask) => ({
    ...ask,
    as: null,
    headers: value === null ? ask.headers : [...ask.headers, ["Authorization", value]],
  }));

const latin = fc.string({
  unit: fc
    .integer({ min: 0x21, max: 0xff })
    .map((code) => (code === 0x7f ? "~" : String.fromCharCode(code))),
  maxLength: 300,
});

const headers: fc.Arbitrary<Mutation> = fc.oneof(
  fc.constant<Mutation>((ask) => ({ ...ask, headers: without(ask, "content-type") })),
  fc
    .oneof(
      fc.constantFrom(
        ...[
          "text/plain",
          "application/json; charset=utf-16",
          "application/x-www-form-urlencoded",
          "/",
        ],
        ...[
          "application/cloudevents+json",
          "application/cloudevents-batch+json",
          "application/cloudevents",
        ],
        ...[
          "multipart/form-data; boundary=x",
          "application/json, text/plain",
          "",
          "APPLICATION/JSON;;;",
        ],
        ...[
          "application/cloudevents+json; charset=latin1",
          "text/json",
          "application/cloudevents+xml",
        ],
      ),
      latin,
    )
    .map((value) => inPlaceOf("Content-Type", value)),
  fc
    .constantFrom("gzip", "identity", "br, gzip", "x", "")
    .map((value) => withHeader("Content-Encoding", value)),
  fc
    .oneof(latin, fc.constantFrom("", '"', '""', "x".repeat(256), "a b", "ключ", "\xa0"))
    .map((value) =>
      inPlaceOf("Idempotency-Key", [...value].map((one) => (one > "\xff" ? "?" : one)).join("")),
    ),
  fc
    .oneof(
      latin,
      fc.constantFrom(
        "00-0-0-0",
        `00-${"0".repeat(32)}-${"0".repeat(16)}-00`,
        `ff-${"a".repeat(32)}-${"b".repeat(16)}-01`,
        `00-${"a".repeat(32)}-${"b".repeat(16)}-01-x`,
        `cc-${"a".repeat(32)}-${"b".repeat(16)}-01-${"y".repeat(3_000)}`,
      ),
    )
    .map((value) => withHeader("traceparent", value)),
  fc
    .tuple(
      fc.constantFrom(
        "id",
        "source",
        "type",
        "specversion",
        "time",
        "subject",
        "data",
        "datacontenttype",
        "__proto__",
        "A-b",
      ),
      fc.oneof(
        latin,
        fc.constantFrom("%", "%ff", "%00", "%0d%0aX-Injected:%201", '"\\"', "1.0", ""),
      ),
    )
    .map(([name, value]) => withHeader(`ce-${name}`, value)),
  fc
    .tuple(
      fc.constantFrom(
        "X-HTTP-Method-Override",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Original-URL",
        "Forwarded",
        "CF-Connecting-IP",
        "Origin",
        "Range",
        "If-Match",
        "Accept",
        "Cookie",
        "Durachart-Request",
        "TE",
        "X-Forwarded-Proto",
      ),
      fc.oneof(
        latin,
        fc.constantFrom(
          "DELETE",
          "/auth/keys/rotate",
          "127.0.0.1",
          "::1",
          "bytes=0-",
          "https://evil.test",
          '{"address":{}}',
        ),
      ),
    )
    .map(([name, value]) => withHeader(name, value)),
  fc.constantFrom("websocket", "h2c", "WebSocket", "x").map(
    (value): Mutation =>
      (ask) =>
        withHeader(
          "Sec-WebSocket-Protocol",
          "chat",
        )(withHeader("Sec-WebSocket-Version", value)(ask)),
  ),
  latin.map((value): Mutation => (ask) => ({
    ...ask,
    headers: [
      ...ask.headers,
      ...Array.from({ length: 60 }, (_, index) => [`X-Many-${index}`, value] as const),
    ],
  })),
);

const onPath =
  (make: (path: string, query: string) => string): Mutation =>
  (ask) => {
    const [path = "", query = ""] = ask.path.split(/\?(.*)/s);
    return { ...ask, path: make(path, query === "" ? "" : `?${query}`) };
  };

const paths: fc.Arbitrary<Mutation> = fc.oneof(
  fc
    .tuple(
      fc.nat({ max: 5 }),
      fc.constantFrom(
        "%2f",
        "%00",
        "%ff",
        "%zz",
        "%",
        "..%2f..",
        "%2e%2e",
        ".",
        "%0d%0aX-Injected:1",
        "%5c",
        ";x=1",
        "\\",
        "|",
        "\xff\xfe",
        "%e2%80%ae",
        "+",
        "%25%32%66",
        "~".repeat(201),
        "a".repeat(2_000),
        "a".repeat(12_000),
        "\xc3\xa9",
        "*",
        ":id",
        "__proto__",
        "constructor",
      ),
    )
    .map(([at, part]) =>
      onPath((path, query) => {
        const parts = path.split("/");
        const index = 1 + (at % Math.max(1, parts.length - 1));
        parts[index] = `${parts[index]}${part}`;
        return parts.join("/") + query;
      }),
    ),
  fc
    .constantFrom("/", "//", "/.", "/..;/x", "/%2e", "?", "/x/y/z")
    .map((more) => onPath((path, query) => path + more + query)),
  fc
    .constantFrom(
      "?",
      "?&&&",
      "?a",
      "?a=1&a=2",
      "?%zz=%zz",
      "?a[]=1&a[b]=2",
      `?${"q=1&".repeat(500)}`,
      "?__proto__=1",
      "?after=1&after=2",
      "?limit=%00",
      "?expand=schema",
      "?expand=x",
      "?ticket=x",
      "?ticket=e30.e30.e30",
      "?epoch=-1",
    )
    .map((query) => onPath((path) => path + query)),
  fc.constant(onPath((path, query) => path.replace("/", "//") + query)),
  fc.constant(onPath((path, query) => path.toUpperCase() + query)),
);

const mutation = fc.oneof(
  { weight: 5, arbitrary: bodies },
  { weight: 2, arbitrary: credentials },
  { weight: 4, arbitrary: headers },
  { weight: 4, arbitrary: paths },
);

/** A request with one to three things wrong about it. */
export function malformed(asks: fc.Arbitrary<Ask>): fc.Arbitrary<Ask> {
  return fc
    .tuple(asks, fc.array(mutation, { minLength: 1, maxLength: 3 }))
    .map(([ask, mutations]) => mutations.reduce((one, mutate) => mutate(one), ask));
}

const CRLF = "\r\n";

interface RawParts {
  line: string;
  fields: string[];
  body: Buffer;
  end: "wait" | "cut";
}

/** Every one is answered, or hung up on, or left in the middle by the one who asks. */
const raws: Record<string, (parts: RawParts) => RawParts> = {
  "a header of invalid bytes": (one) => ({
    ...one,
    fields: [...one.fields, "X-Bad: \x01\x02\x7f\xff"],
  }),
  "a header's name of invalid bytes": (one) => ({
    ...one,
    fields: [...one.fields, "X Bad\x00: 1"],
  }),
  "a folded header": (one) => ({ ...one, fields: [...one.fields, `X-Fold: a${CRLF} b`] }),
  "a bare line feed": (one) => ({ ...one, fields: [...one.fields, "X-Lf: a\nX-Injected: 1"] }),
  "no colon": (one) => ({ ...one, fields: [...one.fields, "no colon at all"] }),
  "no Content-Length": (one) => ({
    ...one,
    fields: one.fields.filter((field) => !field.startsWith("Content-Length")),
  }),
  "two Content-Lengths": (one) => ({
    ...one,
    fields: [...one.fields, `Content-Length: ${one.body.length + 5}`],
    end: "cut",
  }),
  "a Content-Length that is none": (one) => replaceLength(one, "-1"),
  "a Content-Length in words": (one) => replaceLength(one, "many"),
  "a Content-Length beyond all numbers": (one) => ({
    ...replaceLength(one, "99999999999999999999999"),
    end: "cut",
  }),
  "a body that is too short": (one) => ({
    ...replaceLength(one, String(one.body.length + 100)),
    end: "cut",
  }),
  "a body that is too long": (one) => replaceLength(one, String(Math.max(0, one.body.length - 1))),
  "a length and chunks": (one) => ({
    ...chunked(one, one.body.length.toString(16)),
    fields: [...chunked(one, "1").fields, `Content-Length: ${one.body.length}`],
  }),
  chunks: (one) => chunked(one, one.body.length.toString(16)),
  "a chunk's size that is none": (one) => ({ ...chunked(one, "zz"), end: "cut" }),
  "a chunk that is too large": (one) => ({ ...chunked(one, "ffffff"), end: "cut" }),
  "a chunk beyond all numbers": (one) => ({ ...chunked(one, "f".repeat(40)), end: "cut" }),
  "an unknown Transfer-Encoding": (one) => ({
    ...one,
    fields: [...one.fields, "Transfer-Encoding: gzip, chunked"],
    end: "cut",
  }),
  "a method that is none": (one) => ({ ...one, line: one.line.replace(/^\S+/, "BREW") }),
  "a method of other bytes": (one) => ({ ...one, line: one.line.replace(/^\S+/, "\xff\xfe\x00") }),
  TRACE: (one) => ({ ...one, line: one.line.replace(/^\S+/, "TRACE") }),
  CONNECT: (one) => ({ ...one, line: "CONNECT example.com:443 HTTP/1.1" }),
  "an absolute target": (one) => ({ ...one, line: one.line.replace(" /", " http://evil.test/") }),
  "an asterisk": (one) => ({ ...one, line: "OPTIONS * HTTP/1.1" }),
  "a target that is no path": (one) => ({ ...one, line: one.line.replace(" /", " ") }),
  "a target with spaces": (one) => ({ ...one, line: one.line.replace(" HTTP", " x y HTTP") }),
  "a fragment": (one) => ({ ...one, line: one.line.replace(" HTTP", "#x HTTP") }),
  "no version": (one) => ({ ...one, line: one.line.replace(/ HTTP.*$/, "") }),
  "HTTP/1.0": (one) => ({ ...one, line: one.line.replace("1.1", "1.0") }),
  "HTTP/9.9": (one) => ({ ...one, line: one.line.replace("1.1", "9.9") }),
  "HTTP/2's preface": (one) => ({
    ...one,
    line: "PRI * HTTP/2.0",
    fields: [],
    body: Buffer.from("SM\r\n\r\n"),
  }),
  TLS: () => ({
    line: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    fields: [],
    body: Buffer.alloc(0),
    end: "cut",
  }),
  "no Host": (one) => ({ ...one, fields: one.fields.filter((field) => !field.startsWith("Host")) }),
  "two Hosts": (one) => ({ ...one, fields: [...one.fields, "Host: evil.test"] }),
  "a Host that is none": (one) => ({
    ...one,
    fields: one.fields.map((field) => (field.startsWith("Host") ? "Host: \\/@:x%" : field)),
  }),
  "a huge header": (one) => ({ ...one, fields: [...one.fields, `X-Huge: ${"h".repeat(70_000)}`] }),
  "a thousand headers": (one) => ({
    ...one,
    fields: [...one.fields, ...Array.from({ length: 1_000 }, (_, index) => `X-${index}: ${index}`)],
  }),
  "a huge target": (one) => ({
    ...one,
    line: one.line.replace(" HTTP", `?${"t".repeat(70_000)} HTTP`),
  }),
  Expect: (one) => ({ ...one, fields: [...one.fields, "Expect: 100-continue"] }),
  "an unknown Expect": (one) => ({ ...one, fields: [...one.fields, "Expect: the-unexpected"] }),
  "a header's half": (one) => ({
    ...one,
    fields: one.fields.slice(0, 1),
    body: Buffer.alloc(0),
    end: "cut",
  }),
  "two requests at once": (one) => ({
    ...one,
    body: Buffer.concat([
      one.body,
      Buffer.from(
        `GET /nowhere/at/all HTTP/1.1${CRLF}Host: x${CRLF}Connection: close${CRLF}${CRLF}`,
      ),
    ]),
  }),
  "an Upgrade to something else": (one) => ({
    ...one,
    fields: [...one.fields, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"],
  }),
};

function replaceLength(one: RawParts, length: string): RawParts {
  const others = one.fields.filter((field) => !field.startsWith("Content-Length"));
  return { ...one, fields: [...others, `Content-Length: ${length}`] };
}

function chunked(one: RawParts, size: string): RawParts {
  const others = one.fields.filter((field) => !field.startsWith("Content-Length"));
  const chunk =
    one.body.length === 0 ? [] : [Buffer.from(size + CRLF), one.body, Buffer.from(CRLF)];
  return {
    ...one,
    fields: [...others, "Transfer-Encoding: chunked"],
    body: Buffer.concat([...chunk, Buffer.from(`0${CRLF}${CRLF}`)]),
  };
}

/** What goes over a connection of its own, byte by byte. */
export function rawOf(
  asks: fc.Arbitrary<Ask>,
  kinds: readonly string[] = Object.keys(raws),
): fc.Arbitrary<Ask> {
  return fc.tuple(asks, fc.constantFrom(...kinds)).map(([ask, name]) => {
    const { method, path, headers, body = Buffer.alloc(0) } = ask;
    const hasLength = body.length > 0 || !["GET", "HEAD"].includes(method);
    const {
      line,
      fields,
      body: rest,
      end,
    } = raws[name]!({
      line: `${method} ${path} HTTP/1.1`,
      fields: [
        "Host: shop.test",
        TOKEN_PLACE,
        "Connection: close",
        ...headers.map((pair) => pair.join(": ")),
        ...(hasLength ? [`Content-Length: ${body.length}`] : []),
      ],
      body,
      end: "wait",
    });
    const head = Buffer.from([line, ...fields, "", ""].join(CRLF), "latin1");
    return { ...ask, raw: { kind: name, bytes: Buffer.concat([head, rest]), end } };
  });
}

/** Payloads for orders that live, none of which comes to its end. */
export function brokenUploads(method: string): fc.Arbitrary<Ask> {
  const asks = fc
    .tuple(
      fc.nat({ max: 4 }),
      fc.constantFrom("baking", "delivered"),
      fc.uint8Array({ minLength: 1 }),
    )
    .map(([tenant, id, bytes]): Ask => ({
      ...{ tenant, as: "customer", method, path: `/orders/${id}/payloads`, headers: [] },
      body: Buffer.from(bytes),
    }));
  return rawOf(asks, [
    "a body that is too short",
    "a chunk that is too large",
    "a chunk's size that is none",
    "a chunk beyond all numbers",
  ]);
}

const upgrade = (path: string, more: readonly string[]) =>
  Buffer.from(
    [
      `GET ${path} HTTP/1.1`,
      ...["Host: shop.test", TOKEN_PLACE, "Connection: Upgrade", "Upgrade: websocket"],
      ...["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", ...more],
      ...["", ""],
    ].join(CRLF),
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
