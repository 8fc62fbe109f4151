import { afterEach, describe, expect, it, vi } from "vitest";
import { consumeMails } from "../../services/mailer/consumer.ts";
import { HttpProvider } from "../../services/mailer/http-provider.ts";
import type { Behaviour } from "../support/webhook-sink.ts";
import { remoteSink } from "../support/remote-sink.ts";
import { deliver, envelope, freshId, later, rowOf, welcome, world } from "./service.ts";

afterEach(() => vi.useRealTimers());

/** A provider at a path of its own, and the mail that it is asked for. */
async function asked(behaviour: Behaviour) {
  const id = freshId();
  const path = `/mails/${id}`;
  await remoteSink.answer(path, behaviour);
  const settings = {
    ...{ MAIL_PROVIDER: "http", MAIL_API_URL: remoteSink.url(path) },
    ...{ MAIL_API_KEY: "the-key", MAIL_FROM: "Shop <shop@example.test>" },
  };
  const there = world(settings);
  const body = envelope(id, welcome({ address: "carla@example.test" }));
  // What never answers must not take the tests' time.
  const by: typeof consumeMails = (batch, to) =>
    consumeMails(batch, to, () => new HttpProvider(settings, 300));
  return { id, path, there, bring: () => deliver([body], there, { by }) };
}

const named = (name: string) => JSON.stringify({ name, message: "carla@example.test is no good" });

describe("the provider over HTTP", () => {
  it("is asked as its API has it", async () => {
    const { path, bring } = await asked({ status: 200, body: `{"id":"1"}` });
    expect(await bring()).toEqual(["acked"]);
    const [arrival, ...more] = await remoteSink.at(path);
    expect(more).toEqual([]);
    expect(arrival!.headers).toMatchObject({
      authorization: "Bearer the-key",
      "content-type": "application/json",
      "idempotency-key": expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
    expect(JSON.parse(arrival!.body)).toEqual({
      from: "Shop <shop@example.test>",
      to: ["carla@example.test"],
      subject: "Welcome to Tropical Pizza, carla",
      text: expect.stringContaining("Welcome, carla!") as string,
      html: expect.stringContaining("<h1") as string,
    });
  });

  it.each<[string, Behaviour, isUnclear: boolean]>([
    ["500", { status: 500 }, true],
    ["503", { status: 503, body: "<html>" }, true],
    ["408", { status: 408 }, true],
    ["409", { status: 409, body: named("concurrent_idempotent_requests") }, true],
    ["429", { status: 429, body: named("rate_limit_exceeded") }, false],
    ["401, a wrong key", { status: 401, body: named("missing_api_key") }, false],
    ["403, an unknown sender", { status: 403, body: named("validation_error") }, false],
    ["a redirect", { status: 302, headers: { Location: "/elsewhere" } }, false],
    ["a cut connection", "cut", true],
    ["nothing", "hang", true],
  ])("that answers %s is asked again, under the same key", async (_, behaviour, isUnclear) => {
    const { id, path, there, bring } = await asked(behaviour);
    expect(await bring()).toEqual([5]);
    expect(there.buried).toEqual([]);
    expect((await rowOf(id))!.asked_at !== null).toBe(isUnclear);
    await remoteSink.answer(path, { status: 200 });
    expect(await bring()).toEqual(["acked"]);
    const keys = (await remoteSink.at(path)).map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toHaveLength(2);
    expect(new Set(keys).size).toBe(1);
    expect(await remoteSink.at("/elsewhere")).toEqual([]);
  });

  it.each([400, 404, 413, 422])("that answers %i is not asked again", async (status) => {
    const { there, bring } = await asked({ status, body: named("invalid_parameter") });
    expect(await bring()).toEqual(["acked"]);
    expect(there.buried).toHaveLength(1);
    const { detail } = there.buried[0]!.reason;
    expect(detail).toContain(`${status} (invalid_parameter)`);
    // What a provider says may name people.
    expect(detail).not.toContain("carla");
  });

  it("that has had another mail under the key isn't asked again, and a person is told", async () => {
    const { id, there, bring } = await asked({
      status: 409,
      body: named("invalid_idempotent_request"),
    });
    expect(await bring()).toEqual(["acked"]);
    expect(there.buried[0]!.reason.detail).toContain("Look in its log");
    expect((await rowOf(id))!.asked_at).not.toBeNull();
  });

  it("is not asked for the same mail when it may have forgotten the key: rather not at all than twice", async () => {
    const { path, there, bring } = await asked("cut");
    expect(await bring()).toEqual([5]);
    await remoteSink.answer(path, { status: 200 });
    later(23 * 3_600_000);
    expect(await bring()).toEqual(["acked"]);
    expect(await remoteSink.at(path)).toHaveLength(1);
    expect(there.buried[0]!.reason).toMatchObject({
      type: "urn:durachart:problem:exhausted",
      detail: expect.stringContaining("has not said whether it took it") as string,
    });
  });

  it("that has clearly refused is asked again however late", async () => {
    const { path, bring } = await asked({ status: 429 });
    expect(await bring()).toEqual([5]);
    await remoteSink.answer(path, { status: 200 });
    later(30 * 86_400_000);
    expect(await bring()).toEqual(["acked"]);
    expect(await remoteSink.at(path)).toHaveLength(2);
  });
});
