import { env, exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { pixelsOf, SIDE } from "../../services/avatars/picture.ts";
import type { AvatarCalls, DrawingCalls } from "../../services/contracts/avatars.ts";
import type { Asker } from "../../services/contracts/reply.ts";
import { decodePng } from "./decode.ts";

const { Drawing: drawing, Avatars: avatars } = exports as unknown as {
  Drawing: DrawingCalls;
  Avatars: AvatarCalls;
};
const whose = { tenant: "tropical" };
const asker = (tenant = "tropical"): Asker => ({
  caller: { tenant, subject: "carla", roles: ["customer"] },
  authorization: "",
});
const freshSubject = () => `user:${crypto.randomUUID()}`;
const bytesOf = async (answer: Response) => new Uint8Array(await answer.arrayBuffer());

async function drawn(subject = freshSubject()): Promise<string> {
  const path = `/api/avatars/${encodeURIComponent(subject)}`;
  expect(await drawing.draw(whose, subject)).toEqual({ ok: true, value: { path } });
  return subject;
}

describe("an avatar", () => {
  it("is a real PNG, as another reader of PNG has it, pixel by pixel", async () => {
    for (const subject of ["user:1", "carla", "🍍", " ", freshSubject()]) {
      const picture = await bytesOf(await avatars.avatar(asker(), await drawn(subject), null));
      const { width, height, pixels } = await decodePng(picture);
      expect([width, height]).toEqual([SIDE, SIDE]);
      expect(pixels).toEqual(await pixelsOf(subject));
      expect(picture.length).toBeLessThan(20_000);
    }
  });

  it("is symmetric, has more than its ground, and is another for each user", async () => {
    const seen = new Set<string>();
    for (let user = 0; user < 50; user += 1) {
      const pixels = await pixelsOf(`user:${user}`);
      const at = (x: number, y: number) =>
        pixels.subarray((y * SIDE + x) * 3, (y * SIDE + x) * 3 + 3).join();
      const colours = new Set<string>();
      for (let y = 0; y < SIDE; y += 16) {
        for (let x = 0; x < SIDE; x += 16) {
          expect(at(x, y)).toBe(at(SIDE - 1 - x, y));
          colours.add(at(x, y));
        }
      }
      expect(colours.size).toBeGreaterThan(1);
      seen.add(pixels.join());
    }
    expect(seen.size).toBe(50);
  });

  it("drawn again is the same bytes in the same place, and known by the same tag", async () => {
    const subject = await drawn();
    const first = await avatars.avatar(asker(), subject, null);
    const before = (await env.AVATARS_BUCKET.list()).objects.length;
    await Promise.all([drawn(subject), drawn(subject)]);
    const second = await avatars.avatar(asker(), subject, null);
    expect(await bytesOf(second)).toEqual(await bytesOf(first));
    expect(second.headers.get("etag")).toBe(first.headers.get("etag"));
    expect((await env.AVATARS_BUCKET.list()).objects).toHaveLength(before);
  });

  it("is answered as HTTP has it, and not at all to who has it already", async () => {
    const subject = await drawn();
    const answer = await avatars.avatar(asker(), subject, null);
    const length = (await bytesOf(answer)).length;
    expect(answer.status).toBe(200);
    const etag = answer.headers.get("etag")!;
    expect(etag).toMatch(/^"[^"]+"$/);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "content-type": "image/png",
      "content-length": String(length),
      "cache-control": "private, max-age=86400",
      "x-content-type-options": "nosniff",
      "content-security-policy": "default-src 'none'; sandbox",
    });
    for (const ifNoneMatch of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const same = await avatars.avatar(asker(), subject, ifNoneMatch);
      expect([same.status, same.headers.get("etag"), await same.text()]).toEqual([304, etag, ""]);
    }
    expect((await avatars.avatar(asker(), subject, `"other"`)).status).toBe(200);
  });

  it("of another realm, or of nobody, is 404", async () => {
    const subject = await drawn();
    for (const [who, name] of [
      [asker("elsewhere"), subject],
      [asker(), freshSubject()],
      [asker(), ""],
      [asker(), "x".repeat(201)],
      [asker(), "../tropical"],
      [asker("tropical/"), subject],
    ] as const) {
      const answer = await avatars.avatar(who, name, "*");
      expect(answer.status).toBe(404);
      expect(await answer.json()).toMatchObject({ type: "urn:durachart:problem:not-found" });
    }
  });

  it("is not drawn where it may not lie, nor of what is no subject: then nothing is kept", async () => {
    const before = (await env.AVATARS_BUCKET.list()).objects.length;
    for (const [where, subject, status] of [
      [{ tenant: "tropical", jurisdiction: "eu" }, "user:1", 503],
      [whose, "", 422],
      [whose, "x".repeat(201), 422],
      [whose, 7, 422],
      [whose, null, 422],
      [{ tenant: "" }, "user:1", 500],
      [{ tenant: "tropical", jurisdiction: "moon" }, "user:1", 500],
    ] as const) {
      const reply = await drawing.draw(where as typeof whose, subject as string);
      expect(reply).toMatchObject({ ok: false, problem: { status } });
    }
    expect((await env.AVATARS_BUCKET.list()).objects).toHaveLength(before);
  });
});
