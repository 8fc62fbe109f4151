import { gzipSync, deflateSync, brotliCompressSync } from "node:zlib";
import * as fc from "fast-check";
import type { Ask } from "./ask.ts";

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
    .map((value): Mutation => (ask) => {
      if (ask.isKeyless) return ask;
      return inPlaceOf("Idempotency-Key", value.replaceAll(/[^\0-\xff]/g, "?"))(ask);
    }),
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
  fc.constant(
    onPath((path, query) => path.replaceAll(/[a-z]/g, (one) => one.toUpperCase()) + query),
  ),
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
