import { describe, expect, it } from "vitest";
import { isCloudEvent, readCloudEvents } from "../../src/cloudevents/http.ts";
import {
  binary,
  bytes,
  problemOf,
  required,
  structured,
  structuredText,
} from "../support/cloudevents.ts";

/** What the HTTP binding of CloudEvents 1.0.2 asks of who receives, case by case. */

describe("structured mode (HTTP binding, section 3.2)", () => {
  it.each([
    "application/cloudevents+json",
    "application/cloudevents+json; charset=utf-8",
    'application/cloudevents+json;charset="UTF-8"',
    "Application/CloudEvents+JSON; charset=UTF-8; x=y",
  ])("is recognised by the Content-Type %s", (type) => {
    expect(isCloudEvent(new Headers({ "Content-Type": type }))).toBe(true);
    expect(structured({ data: 1 }, type).data).toBe(1);
  });

  it.each([
    "application/cloudevents+xml",
    "application/cloudevents+avro",
    "application/cloudevents",
    "application/cloudevents+json; charset=utf-16",
  ])("%s is unsupported", (type) => {
    expect(problemOf(() => structured({}, type)).status).toBe(415);
  });

  it("ignores ce- headers beside it", () => {
    const headers = new Headers({
      "Content-Type": "application/cloudevents+json",
      "ce-id": "other",
    });
    const arrived = readCloudEvents(headers, bytes(JSON.stringify(required)));
    expect(arrived).toMatchObject({ event: { id: "a-1" } });
  });

  it.each([
    ["no JSON", "{"],
    ["no object", "[]"],
    ["a string", '"x"'],
    ["null", "null"],
    ["nothing", ""],
  ])("refuses a body that is %s", (_, body) => {
    expect(problemOf(() => structuredText(body)).status).toBe(400);
  });

  it("refuses what is no UTF-8", () => {
    const headers = new Headers({ "Content-Type": "application/cloudevents+json" });
    expect(problemOf(() => readCloudEvents(headers, new Uint8Array([0xff, 0xfe]))).status).toBe(
      400,
    );
  });
});

describe("binary mode (HTTP binding, section 3.1)", () => {
  it("takes the type of the data from Content-Type", () => {
    expect(binary({}, "1", "application/json; charset=utf-8").extensions).toMatchObject({
      datacontenttype: "application/json; charset=utf-8",
    });
    expect(problemOf(() => binary({ datacontenttype: "application/json" })).status).toBe(400);
  });

  it("percent-decodes header values once, as UTF-8 (section 3.1.3.2)", () => {
    expect(binary({ subject: "Euro%20%E2%82%AC%20%F0%9F%98%80" }).subject).toBe("Euro € 😀");
    expect(binary({ subject: "100%2525" }).subject).toBe("100%25");
    for (const subject of ["%", "%zz", "%ff%fe", "%E2%82"]) {
      expect(problemOf(() => binary({ subject }))).toMatchObject({ status: 400 });
    }
  });

  it("unquotes quoted header values before that", () => {
    expect(binary({ subject: '"a%20b"' }).subject).toBe("a b");
    expect(binary({ subject: '"a\\"b\\\\"' }).subject).toBe('a"b\\');
  });

  it("takes header names in any case", () => {
    const headers = new Headers({ "CE-SpecVersion": "1.0", "Ce-Id": "1", "cE-Source": "/a" });
    headers.set("CE-TYPE", "X");
    expect(readCloudEvents(headers, bytes(""))).toMatchObject({ event: { id: "1", type: "X" } });
  });

  it("refuses names that no attribute has", () => {
    expect(problemOf(() => binary({ "with-dash": "x" })).status).toBe(400);
  });

  it("reads the body by its type: JSON, text, bytes, and JSON where there is no type", () => {
    expect(binary({}, "null").data).toBeNull();
    expect(binary({}, '{"a":1}', "application/vnd.pizza+json").data).toEqual({ a: 1 });
    expect(binary({}, "hot", "text/plain; charset=utf-8").data).toBe("hot");
    expect(binary({}, new Uint8Array([0, 1, 2, 3]), "image/png").data).toBe("AAECAw==");
    expect(binary({}, "5", null).data).toBe(5);
    expect(binary({})).not.toHaveProperty("data");
    expect(problemOf(() => binary({}, "{")).status).toBe(400);
    expect(problemOf(() => binary({}, new Uint8Array([0xff]))).status).toBe(400);
  });

  it("is recognised by any of the headers that it must have", () => {
    for (const name of ["ce-specversion", "ce-type", "ce-id"]) {
      expect(isCloudEvent(new Headers({ [name]: "x" }))).toBe(true);
    }
    expect(isCloudEvent(new Headers({ "Content-Type": "application/json" }))).toBe(false);
  });
});

describe("batch mode (HTTP binding, section 3.3)", () => {
  const batch = (body: unknown, type = "application/cloudevents-batch+json; charset=UTF-8") =>
    readCloudEvents(new Headers({ "Content-Type": type }), bytes(JSON.stringify(body)));

  it("is a list of events, each checked by itself", () => {
    const { batch: events } = batch([required, { ...required, id: "" }, 5, required]) as {
      batch: object[];
    };
    expect(events).toMatchObject([
      { id: "a-1" },
      { problem: { status: 400, field: "id" } },
      { problem: { status: 400 } },
      { id: "a-1" },
    ]);
  });

  it("may be empty", () => {
    expect(batch([])).toEqual({ batch: [] });
  });

  it("must be a list, in JSON", () => {
    expect(problemOf(() => batch(required)).status).toBe(400);
    expect(problemOf(() => batch([], "application/cloudevents-batch+xml")).status).toBe(415);
  });
});
