import { env, exports } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import { Drawer } from "../../src/contract/buckets.ts";
import { realmOf } from "../../src/contract/realm.ts";
import { erasePayloads } from "../../src/egress/erase.ts";
import type { PayloadReference } from "../../src/index.ts";
import {
  call,
  customer,
  eventually,
  freshId,
  operator,
  send,
  start,
  stubOf,
  tokenFor,
  view,
} from "../support/client.ts";
import { limits, resetLimits } from "../support/limits.ts";
import { resetWorld, world } from "../support/probe.ts";

const MB = 1_000_000;
const stranger: Caller = { tenant: "polar", subject: "pia", roles: ["operator"] };

beforeEach(() => {
  resetLimits();
  resetWorld();
});

async function request(
  method: string,
  path: string,
  {
    as = customer,
    body,
    headers = {},
  }: { as?: Caller; body?: BodyInit; headers?: Record<string, string> } = {},
): Promise<Response> {
  const response = await exports.default.fetch(`https://durachart.test${path}`, {
    method,
    headers: { Authorization: `Bearer ${await tokenFor(as)}`, ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return response;
}

const upload = (id: string, body: BodyInit, headers: Record<string, string> = {}) =>
  request("PUT", `/probes/${id}/payloads`, { body, headers });

const objectId = (id: string, tenant?: string) => stubOf("probes", id, tenant).id.toString();
const stored = async () => {
  const { objects } = await env.PAYLOADS.list();
  return objects.map(({ key }) => key);
};
const hashOf = async (bytes: Uint8Array) =>
  [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");

/** Bytes that don't repeat at the borders of parts. */
function bytes(length: number): Uint8Array<ArrayBuffer> {
  const content = new Uint8Array(length);
  for (let at = 0; at < length; at++) content[at] = (at * 31 + (at >> 8)) & 255;
  return content;
}

/** A body that doesn't say how long it is. */
function streamed(content: Uint8Array, chunk = 700_001): ReadableStream {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(content.slice(at, at + chunk));
      at += chunk;
      if (at >= content.length) controller.close();
    },
  });
}

describe("a payload", () => {
  it("is uploaded under its hash, and given back to be saved", async () => {
    const id = await start("probes");
    const sha256 = await hashOf(new TextEncoder().encode("<script>alert(1)</script>"));
    for (const method of ["PUT", "POST"]) {
      const response = await request(method, `/probes/${id}/payloads`, {
        body: "<script>alert(1)</script>",
        headers: { "Content-Type": "text/html; charset=utf-8" },
      });
      expect(response.status).toBe(201);
      expect(response.headers.get("location")).toBe(`/probes/${id}/payloads/${sha256}`);
      expect(await response.json()).toEqual({
        $payload: `sha256-${sha256}`,
        size: 25,
        type: "text/html; charset=utf-8",
      });
    }
    const path = `/probes/${id}/payloads/${sha256}`;
    const response = await request("GET", path);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("<script>alert(1)</script>");
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "application/octet-stream",
      "content-length": "25",
      "content-disposition": `attachment; filename="${sha256}"`,
      "x-content-type-options": "nosniff",
    });
    expect(await stored()).toContain(`payload/${objectId(id)}/${sha256}`);
    for (const other of ["a".repeat(64), "x", "sha256-1", "..%2F..%2Fjournal"]) {
      expect((await request("GET", `/probes/${id}/payloads/${other}`)).status).toBe(404);
    }
  });

  it("of 25 MB is taken, of one byte more refused, and nothing of it stored", async () => {
    const id = await start("probes");
    const before = await stored();
    const most = bytes(25 * MB);
    const taken = await upload(id, streamed(most));
    expect(taken.status).toBe(201);
    const reference: PayloadReference = await taken.json();
    expect(reference).toMatchObject({ size: 25 * MB, type: "application/octet-stream" });
    expect(reference.$payload).toBe(`sha256-${await hashOf(most)}`);
    const back = await request("GET", `/probes/${id}/payloads/${reference.$payload.slice(7)}`);
    expect(await hashOf(new Uint8Array(await back.arrayBuffer()))).toBe(
      reference.$payload.slice(7),
    );
    const after = await stored();
    expect(after).toHaveLength(before.length + 1);
    const over = bytes(25 * MB + 1);
    for (const body of [streamed(over), over]) {
      const refused = await upload(id, body);
      expect(refused.status).toBe(413);
      expect(await refused.json()).toMatchObject({
        type: "urn:durachart:problem:body-too-large",
        detail: "A payload has at most 25000000 bytes.",
      });
    }
    expect(await stored()).toEqual(after);
  });

  it.each([0, 1, 5 * 1024 * 1024 - 1, 5 * 1024 * 1024, 5 * 1024 * 1024 + 1, 10 * 1024 * 1024])(
    "of %i bytes comes back as it was, the parts it went in forgotten",
    async (length) => {
      const id = await start("probes");
      const content = bytes(length);
      const response = await upload(id, streamed(content, 999_983));
      expect(response.status).toBe(201);
      const sha256 = await hashOf(content);
      expect(await response.json()).toMatchObject({ $payload: `sha256-${sha256}`, size: length });
      const back = await request("GET", `/probes/${id}/payloads/${sha256}`);
      expect(await hashOf(new Uint8Array(await back.arrayBuffer()))).toBe(sha256);
      expect((await stored()).filter((key) => key.startsWith("upload/"))).toEqual([]);
    },
  );

  it("may be no larger than this deployment says", async () => {
    limits.payloadBytes = 10;
    const id = await start("probes");
    expect((await upload(id, "0123456789")).status).toBe(201);
    expect((await upload(id, "0123456789+")).status).toBe(413);
    expect((await upload(id, streamed(bytes(11), 4))).status).toBe(413);
  });

  it("is refused where it is none, or the request is not in order", async () => {
    const id = await start("probes");
    const refusals: [number, Promise<Response>][] = [
      [422, request("PUT", `/probes/${id}/payloads`)],
      [415, upload(id, "x", { "Content-Type": 'x"; y' })],
      [415, upload(id, "x", { "Content-Type": `a/${"b".repeat(300)}` })],
      [415, upload(id, "x", { "Content-Encoding": "gzip" })],
      [404, upload(freshId(), "x")],
      [404, request("PUT", `/nothing/${id}/payloads`, { body: "x" })],
      [405, request("DELETE", `/probes/${id}/payloads`)],
      [405, request("PUT", `/probes/${id}/payloads/${"a".repeat(64)}`, { body: "x" })],
    ];
    for (const [status, response] of refusals) expect((await response).status).toBe(status);
    expect((await stored()).filter((key) => key.includes(objectId(id)))).toEqual([]);
    const anonymous = await call("PUT", `/probes/${id}/payloads`, { as: null, body: "x" });
    expect(anonymous.status).toBe(401);
  });

  it("is its tenant's alone", async () => {
    const id = await start("probes");
    const { $payload }: PayloadReference = await (await upload(id, "secret")).json();
    const path = `/probes/${id}/payloads`;
    const sha256 = $payload.slice(7);
    expect((await request("GET", `${path}/${sha256}`, { as: stranger })).status).toBe(404);
    expect((await request("PUT", path, { as: stranger, body: "mine" })).status).toBe(404);
    // Nor is one instance's another's.
    const other = await start("probes");
    expect((await request("GET", `/probes/${other}/payloads/${sha256}`)).status).toBe(404);
    expect((await stored()).some((key) => key.includes(objectId(id, "polar")))).toBe(false);
  });

  it("can't be read once its instance is erased, though the bucket has it still", async () => {
    const id = await start("probes");
    const { $payload } = await (await upload(id, "secret")).json<{ $payload: string }>();
    const path = `/probes/${id}/payloads/${$payload.replace("sha256-", "")}`;
    expect((await request("GET", path)).status).toBe(200);
    const address = { tenant: "tropical", workflow: "probes", id };
    const caller = { tenant: "tropical", subject: "otto", roles: ["operator"] };
    const operation = { name: "terminate" as const };
    await stubOf("probes", id).operate({ address, caller, operation });
    await stubOf("probes", id).erase({ address, caller });
    await env.PAYLOADS.put(`payload/${objectId(id)}/${$payload.replace("sha256-", "")}`, "secret");
    expect((await request("GET", path)).status).toBe(410);
  });

  it("is erased with its instance, page by page", async () => {
    const [id, other] = [await start("probes"), await start("probes")];
    await upload(other, "stays");
    await Promise.all(
      Array.from({ length: 1_005 }, (_, n) =>
        env.PAYLOADS.put(`payload/${objectId(id)}/${n}`, "x"),
      ),
    );
    await env.PAYLOADS.put(`upload/${objectId(id)}/left-over`, "x");
    expect(await erasePayloads(env, objectId(id))).toBe(1_006);
    expect(await erasePayloads(env, objectId(id))).toBe(0);
    expect((await stored()).filter((key) => key.includes(objectId(id)))).toEqual([]);
    expect((await stored()).filter((key) => key.includes(objectId(other)))).toHaveLength(1);
    expect(await erasePayloads({}, objectId(id))).toBe(0);
    expect(await erasePayloads(env, objectId("none"))).toBe(0);
  });
});

describe("an actor", () => {
  it("reads what was uploaded to its instance", async () => {
    const id = await start("probes");
    const reference: PayloadReference = await (
      await upload(id, '{"n":1}', { "Content-Type": "application/json" })
    ).json();
    world.actor = async ({ payload }) => {
      const { json, bytes, size, type } = await payload(reference);
      return { json: await json(), bytes: [...(await bytes())].length, size, type };
    };
    await send("probes", id, { type: "WORK" });
    const { context } = await eventually(
      () => view("probes", id),
      ({ context }) => context["result"] !== null,
    );
    expect(context["result"]).toEqual({
      ...{ json: { n: 1 }, bytes: 7, size: 7, type: "application/json" },
    });
  });

  it("fails for good where there is nothing, or something else by that name", async () => {
    const [id, other] = [await start("probes"), await start("probes")];
    const reference: PayloadReference = await (await upload(other, "theirs")).json();
    let tries = 0;
    world.actor = async ({ payload }) => {
      tries += 1;
      return (await payload(reference)).text();
    };
    const fails = async () => {
      await send("probes", id, { type: "WORK" });
      const { context } = await eventually(
        () => view("probes", id),
        ({ state }) => state === "failed",
      );
      return (context["result"] as { message: string }).message;
    };
    expect(await fails()).toMatch(/is not there\. Upload it to this instance first/);
    await env.PAYLOADS.put(`payload/${objectId(id)}/${reference.$payload.slice(7)}`, "forged");
    expect(await fails()).toMatch(/doesn't match its hash any more/);
    expect(tries).toBe(2);
  });

  it("is tried again where the bucket fails", async () => {
    const id = await start("probes");
    const reference: PayloadReference = await (await upload(id, "later")).json();
    const attempts: number[] = [];
    const head = env.PAYLOADS.head.bind(env.PAYLOADS);
    world.actor = async ({ payload, attempt, env: bindings }) => {
      attempts.push(attempt);
      const { PAYLOADS } = bindings as typeof env;
      PAYLOADS.head =
        attempt === 1 ? () => Promise.reject(new Error("R2 is away")) : (head as never);
      return (await payload(reference)).text();
    };
    await send("probes", id, { type: "WORK" });
    const { retrying } = await eventually(
      () => view("probes", id),
      ({ retrying }) => retrying.length > 0,
    );
    expect(retrying).toMatchObject([{ what: "actor work", error: "Error: R2 is away" }]);
    await eventually(
      () => view("probes", id),
      ({ context }) => context["result"] === "later",
    );
    expect(attempts).toEqual([1, 2]);
  });
});

it("Without a bucket nothing is taken, and the missing binding is named", async () => {
  const id = await start("probes");
  const european: Caller = { ...operator, jurisdiction: "eu" };
  const response = await request("PUT", `/probes/${id}/payloads`, { as: european, body: "x" });
  expect(response.status).toBe(503);
  // The local runtime has no jurisdictions, so what it says of itself comes first.
  expect(() => new Drawer(env, realmOf(european), "payload", objectId(id))).toThrow(
    "This deployment has no R2 bucket bound as PAYLOADS_EU. Bind one in wrangler.toml.",
  );
});
