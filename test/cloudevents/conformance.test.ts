import { describe, expect, it } from "vitest";
import { readCloudEvents } from "../../src/cloudevents/http.ts";
import { cloudEventOf } from "../../src/cloudevents/outgoing.ts";
import {
  binary,
  bytes,
  problemOf,
  required,
  structured,
  structuredText,
} from "../support/cloudevents.ts";

/** What CloudEvents 1.0.2 asks of who receives: the core specification and the JSON format, case by case. */

describe("required attributes (core, section 3.1)", () => {
  for (const mode of ["structured", "binary"] as const) {
    const make = (attributes: Record<string, unknown>) =>
      mode === "structured" ? structured(attributes) : binary(attributes as Record<string, string>);
    for (const name of ["specversion", "id", "source", "type"]) {
      it(`${mode}: ${name} must be there`, () => {
        const without: Record<string, unknown> = { ...required };
        delete without[name];
        const act =
          mode === "structured"
            ? () => structuredText(JSON.stringify(without))
            : () =>
                readCloudEvents(
                  new Headers(
                    Object.entries(without).map(([key, value]): [string, string] => [
                      `ce-${key}`,
                      String(value),
                    ]),
                  ),
                  bytes(""),
                );
        expect(problemOf(act)).toMatchObject({ status: 400, field: name });
      });
      it(`${mode}: ${name} must not be empty`, () => {
        expect(problemOf(() => make({ [name]: "" }))).toMatchObject({ status: 400, field: name });
      });
    }
    it.each(["0.1", "0.3", "1", "1.1", "2.0", " 1.0"])(
      `${mode}: specversion %s is refused`,
      (version) => {
        const spelt = mode === "binary" ? encodeURIComponent(version) : version;
        expect(problemOf(() => make({ specversion: spelt }))).toMatchObject({
          field: "specversion",
        });
      },
    );
  }

  it("specversion must be a string", () => {
    expect(problemOf(() => structured({ specversion: 1.0 }))).toMatchObject({ status: 400 });
  });
});

describe("attribute names and types (core, section 3)", () => {
  it.each(["Upper", "with-dash", "with_underscore", "with.dot", "ünicode", ""])(
    "the name %j is refused",
    (name) => {
      expect(problemOf(() => structured({ [name]: "x" }))).toMatchObject({ status: 400 });
    },
  );

  it("a name may be longer than twenty characters", () => {
    expect(structured({ averyveryverylongextensionname: "x" }).extensions).toMatchObject({
      averyveryverylongextensionname: "x",
    });
  });

  it.each<[string, unknown]>([
    ["a string", "text"],
    ["an empty string", ""],
    ["text beyond the basic plane", "🍍 pizza"],
    ["a boolean", false],
    ["an integer", 7],
    ["the largest integer", 2_147_483_647],
    ["the smallest integer", -2_147_483_648],
  ])("an extension may be %s, and is kept", (_, value) => {
    expect(structured({ extension: value }).extensions["extension"]).toBe(value);
  });

  it.each<[string, unknown]>([
    ["an object", {}],
    ["a list", []],
    ["a fraction", 1.5],
    ["an integer over 32 bits", 2_147_483_648],
    ["one below", -2_147_483_649],
    ["a string with a control character", "a\u0007b"],
    ["one with a C1 control", "a\u0085b"],
    ["one with a lone surrogate", "\ud800"],
    ["one with a code point that is no character", "\uffff"],
  ])("an extension must not be %s", (_, value) => {
    expect(problemOf(() => structured({ extension: value }))).toMatchObject({ field: "extension" });
  });

  it("null is unset (JSON format, section 2.2)", () => {
    const event = structured({ subject: null, extension: null, time: null });
    expect(event).not.toHaveProperty("subject");
    expect(event).not.toHaveProperty("time");
    expect(event.extensions).toEqual({});
    expect(problemOf(() => structured({ id: null }))).toMatchObject({ field: "id" });
  });

  it("keeps the extensions that are documented, in both modes", () => {
    const known = {
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      partitionkey: "orders-1",
      sequence: "0000007",
      dataschema: "https://example.com/schemas/pizza.json",
      dataref: "https://example.com/blobs/1",
      sampledrate: "30",
    };
    expect(structured(known).extensions).toMatchObject(known);
    expect(binary(known).extensions).toMatchObject(known);
  });
});

describe("optional attributes (core, section 3.1)", () => {
  it.each([
    "2026-11-22T07:08:09Z",
    "2026-11-22t07:08:09z",
    "2026-11-22T07:08:09.123456789Z",
    "2026-11-22T07:08:09+05:30",
    "2024-02-29T00:00:00-00:00",
    "1990-12-31T23:59:60Z",
  ])("time may be %s (RFC 3339)", (time) => {
    expect(structured({ time }).time).toBe(time);
    expect(binary({ time: encodeURIComponent(time) }).time).toBe(time);
  });

  it.each([
    "",
    "yesterday",
    "2026-11-22",
    "2026-11-22 07:08:09Z",
    "2026-11-22T07:08:09",
    "2026-11-22T07:08Z",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-11-22T25:00:00Z",
    "2026-11-22T07:08:09+0530",
    "Sun, 22 Nov 2026 07:08:09 GMT",
  ])("time must not be %j", (time) => {
    expect(problemOf(() => structured({ time }))).toMatchObject({ field: "time" });
  });

  it.each([
    "/kitchen",
    "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
    "https://a.b/c?d#e",
    "1-555",
  ])("source may be the URI reference %s", (source) => {
    expect(structured({ source }).source).toBe(source);
  });

  it.each(["with space", "per%zent", "<angle>", "back\\slash", "ünicode"])(
    "source must not be %j",
    (source) => {
      expect(problemOf(() => structured({ source }))).toMatchObject({ field: "source" });
    },
  );

  it("subject must not be empty, dataschema must be absolute, datacontenttype a media type", () => {
    expect(problemOf(() => structured({ subject: "" }))).toMatchObject({ field: "subject" });
    expect(problemOf(() => structured({ dataschema: "/relative" }))).toMatchObject({
      field: "dataschema",
    });
    for (const datacontenttype of ["", "json", "application/", "a b/c", "text/plain; x"]) {
      expect(problemOf(() => structured({ datacontenttype }))).toMatchObject({
        field: "datacontenttype",
      });
    }
    for (const datacontenttype of ["application/json", 'text/plain; charset="utf-8"', "A/B+json"]) {
      expect(structured({ datacontenttype }).extensions).toMatchObject({ datacontenttype });
    }
  });

  it("the defined attributes are strings, whatever they look like", () => {
    for (const name of ["id", "source", "type", "subject", "time", "datacontenttype"]) {
      for (const value of [5, true]) {
        expect(problemOf(() => structured({ [name]: value }))).toMatchObject({ field: name });
      }
    }
  });
});

describe("data (JSON format, section 3.1)", () => {
  it.each<[string, unknown]>([
    ["an object", { a: [1] }],
    ["a string", "text"],
    ["zero", 0],
    ["false", false],
    ["an empty list", []],
    ["null", null],
  ])("may be %s", (_, data) => {
    const event = structured({ data });
    expect(event).toHaveProperty("data");
    expect(event.data).toEqual(data);
  });

  it("may be absent", () => {
    expect(structured({})).not.toHaveProperty("data");
  });

  it("is text where its type is text", () => {
    expect(structured({ datacontenttype: "text/xml", data: "<a/>" }).data).toBe("<a/>");
  });

  const base64 = (text: string) => btoa(text);

  it("data_base64 is decoded: JSON by its type or without one, text as text, else kept", () => {
    const json = base64('{"reason":"cold"}');
    expect(structured({ data_base64: json }).data).toEqual({ reason: "cold" });
    expect(
      structured({ data_base64: json, datacontenttype: "application/vnd.x+json" }).data,
    ).toEqual({ reason: "cold" });
    expect(structured({ data_base64: base64("hot"), datacontenttype: "text/plain" }).data).toBe(
      "hot",
    );
    const binaryData = { data_base64: "AAECAw==", datacontenttype: "application/octet-stream" };
    expect(structured(binaryData).data).toBe("AAECAw==");
    expect(structured({ data_base64: "", datacontenttype: "image/png" }).data).toBe("");
  });

  it.each<[string, object]>([
    ["not base64", { data_base64: "***" }],
    ["base64 of the wrong length", { data_base64: "AAA" }],
    ["base64 with white space", { data_base64: "AA AA" }],
    ["a number", { data_base64: 5 }],
    ["beside data", { data: 1, data_base64: "AAAA" }],
    ["beside data that is null", { data: null, data_base64: "AAAA" }],
    ["said to be JSON and none", { data_base64: base64("{") }],
  ])("data_base64 is refused when it is %s", (_, attributes) => {
    expect(problemOf(() => structured(attributes)).status).toBe(400);
  });
});

describe("what we send", () => {
  const message = {
    ...{ source: "/orders/o-1", id: "1-7", type: "MAKE_PIZZA", time: 1_800_000_000_123 },
    about: { tenant: "tropical", workflow: "orders", id: "o-1" },
  };

  it("reads back as it was, with its trace", () => {
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const event = structuredText(
      JSON.stringify(cloudEventOf({ ...message, data: { a: 1 }, trace })),
    );
    expect(event).toEqual({
      ...{ id: "1-7", source: "/orders/o-1", type: "MAKE_PIZZA", subject: "orders/o-1" },
      time: "2027-01-15T08:00:00.123Z",
      data: { a: 1 },
      extensions: { traceparent: trace, datacontenttype: "application/json" },
    });
  });

  it("keeps null, and leaves out what is not there", () => {
    const read = (data: object) =>
      structuredText(JSON.stringify(cloudEventOf({ ...message, ...data })));
    expect(read({ data: null }).data).toBeNull();
    expect(read({})).not.toHaveProperty("data");
  });
});
