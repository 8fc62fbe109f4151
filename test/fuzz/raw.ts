import * as fc from "fast-check";
import type { Ask } from "./ask.ts";
import { TOKEN_PLACE } from "./send.ts";

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
