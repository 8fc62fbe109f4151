import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import {
  catalog,
  customer,
  freshId,
  problemOf,
  product,
  staff,
  stranger,
  value,
} from "./service.ts";
import { altered, paddedPng, sample, samples, type Sample } from "./samples.ts";

const none = { range: null, ifNoneMatch: null };
const hashOf = ({ picture }: { picture: string | null }) => picture!.split("/").at(-1)!;
const put = async (bytes: Uint8Array, id?: string) =>
  catalog.putPicture(staff, id ?? (await product(0)), bytes);
const bytesOf = async (answer: Response) => new Uint8Array(await answer.arrayBuffer());
const text = (html: string) => new TextEncoder().encode(html);

describe("a picture", () => {
  it.each(samples)("is taken as what it is and shown as it came: %s", async (name) => {
    const id = await product(0);
    const shown = value(await put(sample(name), id));
    expect(shown.picture).toMatch(/^\/api\/catalog\/pictures\/[0-9a-f]{64}$/);
    expect(value(await catalog.products(customer, [id]))[0]!.picture).toBe(shown.picture);
    const hash = hashOf(shown);
    const answer = await catalog.picture(customer, hash, none);
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "content-type": `image/${name.split(" ").at(-1)}`,
      "content-length": String(sample(name).length),
      etag: `"${hash}"`,
      "cache-control": "private, max-age=31536000, immutable",
      "accept-ranges": "bytes",
      "x-content-type-options": "nosniff",
      "content-security-policy": "default-src 'none'; sandbox",
      "content-disposition": "inline",
    });
    expect(await bytesOf(answer)).toEqual(sample(name));
    // The same one twice is one, under the same address for ever.
    expect(value(await put(sample(name))).picture).toBe(shown.picture);
  });

  it("of 5 MB is taken, and no larger one", async () => {
    const frame = paddedPng(0).length;
    const largest = paddedPng(5_000_000 - frame);
    expect(value(await put(largest)).picture).not.toBeNull();
    expect(problemOf(await put(paddedPng(5_000_001 - frame)))).toMatchObject({ status: 413 });
  });

  it.each<[string, Uint8Array, number]>([
    ["nothing", new Uint8Array(), 415],
    [
      "an SVG",
      text(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`),
      415,
    ],
    ["HTML", text("<!doctype html><script>alert(1)</script>"), 415],
    ["a GIF", text("GIF89a\u0001\0\u0001\0"), 415],
    ["a PDF", text("%PDF-1.7"), 415],
    [
      "HTML after a PNG's first bytes",
      new Uint8Array([...sample("png").subarray(0, 8), ...text("<html>")]),
      422,
    ],
    ["HTML after a JPEG's first bytes", new Uint8Array([0xff, 0xd8, 0xff, ...text("<html>")]), 422],
    ["HTML after a WebP's first bytes", text("RIFF\u0010\0\0\0WEBP<html></html>"), 422],
    ["HTML behind a PNG", new Uint8Array([...sample("png"), ...text("<script>")]), 422],
    ["a PNG as wide as nothing", altered("png", 16, 0, 0, 0, 0), 422],
    ["a PNG as wide as 8,001", altered("png", 16, 0, 0, 0x1f, 0x41), 422],
    ["a PNG as high as 4 thousand million", altered("png", 20, 0xff, 0xff, 0xff, 0xff), 422],
    ["a PNG whose chunk leads outside", altered("png", 33, 0xff, 0xff, 0xff, 0xff), 422],
    ["a WebP as wide as 16,383", altered("webp", 26, 0xff, 0x3f), 422],
    ["a WebP that lies about its length", altered("webp", 4, 0xff, 0xff), 422],
  ])("is not: %s", async (_, bytes, status) => {
    const id = await product(0);
    expect(problemOf(await put(bytes, id))).toMatchObject({ status });
    expect(value(await catalog.products(customer, [id]))[0]!.picture).toBeNull();
  });

  it.each(["png", "jpeg", "webp"] satisfies Sample[])(
    "that is broken off anywhere is none: %s",
    async (name) => {
      const id = await product(0);
      const whole = sample(name);
      for (let length = 0; length < whole.length; length += 1) {
        const { status } = problemOf(await put(whole.slice(0, length), id));
        expect([415, 422], `${length} bytes`).toContain(status);
      }
    },
  );

  it("of 8,000 pixels a side is the largest", async () => {
    const large = altered("png", 16, 0, 0, 0x1f, 0x40, 0, 0, 0x1f, 0x40);
    expect((await put(large)).ok).toBe(true);
  });
});

describe("a request for a picture", () => {
  const shown = async () => hashOf(value(await put(sample("jpeg"))));
  const size = sample("jpeg").length;

  it.each<[string, number, number]>([
    ["bytes=0-0", 0, 1],
    ["bytes=10-19", 10, 20],
    ["bytes=260-", 260, size],
    ["bytes=260-9999", 260, size],
    ["bytes=-9", size - 9, size],
    ["bytes=-9999", 0, size],
  ])("of %s is answered with that part", async (range, from, to) => {
    const answer = await catalog.picture(customer, await shown(), { range, ifNoneMatch: null });
    expect(answer.status).toBe(206);
    expect(answer.headers.get("content-range")).toBe(`bytes ${from}-${to - 1}/${size}`);
    expect(answer.headers.get("content-length")).toBe(String(to - from));
    expect(await bytesOf(answer)).toEqual(sample("jpeg").slice(from, to));
  });

  it.each(["bytes=269-", "bytes=9999-10000", "bytes=-0"])("of %s is 416", async (range) => {
    const answer = await catalog.picture(customer, await shown(), { range, ifNoneMatch: null });
    expect(answer.status).toBe(416);
    expect(answer.headers.get("content-range")).toBe(`bytes */${size}`);
    expect(await answer.json()).toMatchObject({ status: 416 });
  });

  it.each(["bytes=0-1,3-4", "bytes=9-3", "bytes=-", "lines=1-2", "bytes=a-b", ""])(
    "of %j, which is no single range, is answered with all of it",
    async (range) => {
      const answer = await catalog.picture(customer, await shown(), { range, ifNoneMatch: null });
      expect(answer.status).toBe(200);
      expect(await bytesOf(answer)).toEqual(sample("jpeg"));
    },
  );

  it("who has it already gets 304, and nothing of it", async () => {
    const hash = await shown();
    for (const ifNoneMatch of [`"${hash}"`, `W/"${hash}"`, `"other", "${hash}"`, "*"]) {
      const answer = await catalog.picture(customer, hash, { range: "bytes=0-1", ifNoneMatch });
      expect(answer.status).toBe(304);
      expect(answer.headers.get("etag")).toBe(`"${hash}"`);
      expect(await answer.text()).toBe("");
    }
    const answer = await catalog.picture(customer, hash, { range: null, ifNoneMatch: `"other"` });
    expect(answer.status).toBe(200);
  });

  it("of another realm, or of none, is 404, whatever is known of it", async () => {
    const hash = await shown();
    for (const [asker, name] of [
      [stranger, hash],
      [customer, "0".repeat(64)],
      [customer, "../picture"],
      [customer, hash.toUpperCase()],
    ] as const) {
      const answer = await catalog.picture(asker, name, { range: null, ifNoneMatch: "*" });
      expect(answer.status).toBe(404);
    }
    const european = { ...customer, caller: { ...customer.caller, jurisdiction: "eu" as const } };
    expect((await catalog.picture(european, hash, none)).status).toBe(503);
  });

  it("is never answered with what has come into the bucket as another type", async () => {
    const hash = "a".repeat(64);
    const key = `picture/tropical//${hash}`;
    for (const [contentType, status] of [
      ["image/png", 200],
      ["image/svg+xml", 404],
      ["text/html", 404],
    ] as const) {
      await env.PICTURES.put(key, "<svg/>", { httpMetadata: { contentType } });
      expect((await catalog.picture(customer, hash, none)).status).toBe(status);
    }
  });
});

it("A product that there is not gets no picture, and the bucket nothing", async () => {
  const before = (await env.PICTURES.list()).objects.length;
  expect(problemOf(await put(sample("png"), freshId()))).toMatchObject({ status: 404 });
  expect((await env.PICTURES.list()).objects).toHaveLength(before);
});
