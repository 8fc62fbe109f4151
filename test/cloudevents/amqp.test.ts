import { describe, expect, it } from "vitest";
import { amqpOf, readAmqp, type AmqpContent } from "../../src/cloudevents/amqp.ts";
import { ProblemError } from "../../src/contract/problem.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const attributes = { specversion: "1.0", id: "1", source: "/me", type: "COIN", subject: "t/x" };
const headers = (prefix: string, more: object = {}) =>
  Object.fromEntries(
    Object.entries({ ...attributes, ...more }).map(([name, value]) => [prefix + name, value]),
  );

function problemOf(content: AmqpContent): unknown {
  try {
    return readAmqp(content);
  } catch (error) {
    if (error instanceof ProblemError) return error.problem.type.replace(/.*:/, "");
    throw error;
  }
}

describe("a CloudEvent over AMQP", () => {
  it.each(["cloudEvents_", "cloudEvents:"])("is read in binary mode with %s", (prefix) => {
    const content = {
      contentType: "application/json; charset=utf-8",
      headers: { ...headers(prefix, { fee: 3, fresh: true }), other: "no attribute" },
      body: bytes('{"a":1}'),
    };
    expect(readAmqp(content)).toEqual({
      ...{ ...attributes, fee: 3, fresh: true, data: { a: 1 } },
      datacontenttype: "application/json; charset=utf-8",
    });
  });

  it("has its times as AMQP has times", () => {
    const time = new Date("2026-11-22T08:00:00Z");
    const read = readAmqp({ headers: headers("cloudEvents_", { time }), body: bytes("") });
    expect(read).toEqual({ ...attributes, time: "2026-11-22T08:00:00.000Z" });
  });

  it.each([
    ["text/plain", "hello", { data: "hello" }],
    ["application/octet-stream", "\u0001\u0002", { data_base64: "AQI=" }],
    ["application/vnd.x+json", "[1]", { data: [1] }],
    [undefined, "[1]", { data: [1] }],
  ])("has data of the type %s", (contentType, body, data) => {
    const read = readAmqp({ contentType, headers: headers("cloudEvents_"), body: bytes(body) });
    expect(read).toMatchObject(data);
  });

  it.each(["application/cloudevents+json", "Application/CloudEvents+JSON; charset=UTF-8"])(
    "is read in structured mode, as %s, whatever the headers say",
    (contentType) => {
      const event = { ...attributes, data: { a: 1 } };
      const body = bytes(JSON.stringify(event));
      const content = { contentType, body, headers: { cloudEvents_id: "other" } };
      expect(readAmqp(content)).toEqual(event);
    },
  );

  it.each<[string, Omit<AmqpContent, "body"> & { body?: Uint8Array }, string]>([
    ["in a batch", { contentType: "application/cloudevents-batch+json" }, "unsupported-media-type"],
    ["compressed", { contentEncoding: "gzip" }, "unsupported-media-type"],
    ["no JSON", { contentType: "application/json", body: bytes("{") }, "not-json"],
    ["no UTF-8", { contentType: "application/json", body: new Uint8Array([255]) }, "not-json"],
    ["with two ids", { headers: { cloudEvents_id: "1", "cloudEvents:id": "2" } }, "bad-cloudevent"],
    ["with data in a header", { headers: { cloudEvents_data: "1" } }, "bad-cloudevent"],
    ["with __proto__", { headers: { ["cloudEvents___proto__"]: "1" } }, "bad-cloudevent"],
  ])("is refused %s", (_, content, name) => {
    expect(problemOf({ body: bytes("1"), ...content })).toBe(name);
  });

  it("reads back what it writes", () => {
    const message = {
      ...{ source: "/orders/1", id: "1-2", type: "MAKE_PIZZA", data: { a: "ü" } },
      ...{ time: 1_800_000_000_000, trace: "00-aa-bb-01" },
      about: { tenant: "t", workflow: "orders", id: "1" },
    };
    expect(readAmqp(amqpOf(message))).toEqual({
      ...{ specversion: "1.0", id: "1-2", source: "/orders/1", type: "MAKE_PIZZA" },
      ...{ subject: "orders/1", time: "2027-01-15T08:00:00.000Z", traceparent: "00-aa-bb-01" },
      ...{ datacontenttype: "application/json", data: { a: "ü" } },
    });
    const { data: _, ...without } = message;
    expect(readAmqp(amqpOf(without))).not.toHaveProperty("data");
  });
});
