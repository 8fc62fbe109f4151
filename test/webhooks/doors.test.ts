import { describe, expect, it } from "vitest";
import type { EndpointView, WebhooksCalls } from "../../src/contract/webhooks.ts";
import { call, customer, service } from "../support/client.ts";
import { remoteSink } from "../support/remote-sink.ts";
import { deliveries, objectOf, receive, register, stranger } from "../support/webhooks.ts";

const routes = (id: string, delivery = "msg_1"): [string, string, object?][] => [
  ["GET", `/webhooks/${id}`],
  ["POST", `/webhooks/${id}/rotate`],
  ["POST", `/webhooks/${id}/enable`],
  ["POST", `/webhooks/${id}/disable`],
  ["GET", `/webhooks/${id}/deliveries`],
  ["POST", `/webhooks/${id}/deliveries/${delivery}/retry`],
  ["DELETE", `/webhooks/${id}/deliveries/${delivery}`],
  ["DELETE", `/webhooks/${id}`],
];

describe("webhook endpoints", () => {
  it("are for operators", async () => {
    const all = [...routes("ep_1"), ["GET", "/webhooks"], ["POST", "/webhooks"]] as const;
    for (const [method, path] of all) {
      expect((await call(method, path, { as: null })).status).toBe(401);
      for (const as of [customer, service]) {
        expect((await call(method, path, { as })).status).toBe(403);
      }
    }
  });

  it("are their own tenant's: another finds nothing there", async () => {
    const [mine, other] = [stranger(), stranger()];
    const endpoint = await register(mine);
    await remoteSink.answer(endpoint.path, { status: 410 });
    await receive(mine, "orders/o-1");
    await expect.poll(async () => (await deliveries(mine, endpoint.id)).parked.length).toBe(1);
    const [parked] = (await deliveries(mine, endpoint.id)).parked;
    // One of its own, so that it isn't refused for having none at all.
    const own = await register(other);
    for (const [method, path] of routes(endpoint.id, parked!.id)) {
      expect((await call(method, path, { as: other })).status).toBe(404);
    }
    const under = `/webhooks/${own.id}/deliveries/${parked!.id}`;
    expect((await call("POST", `${under}/retry`, { as: other })).status).toBe(404);
    const list = await call<{ endpoints: EndpointView[] }>("GET", "/webhooks", { as: other });
    expect(list.body.endpoints.map(({ id }) => id)).toEqual([own.id]);
    expect(await deliveries(mine, endpoint.id)).toMatchObject({ parked: [{ id: parked!.id }] });

    const calls = objectOf(mine) as unknown as WebhooksCalls;
    await expect((async () => calls.endpoints({ tenant: other.tenant }))()).rejects.toThrow(
      "another tenant",
    );
    const carry = calls as unknown as { carry(...all: object[]): Promise<unknown> };
    await expect((async () => carry.carry({ tenant: mine.tenant }, {}))()).rejects.toThrow(
      "another tenant",
    );
  });

  it("say what they are, show their key once, and end", async () => {
    const as = stranger();
    const endpoint = await register(as, ["order.*"]);
    expect(endpoint.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const path = `/webhooks/${endpoint.id}`;
    const shown = await call("GET", path, { as });
    expect(shown.body).toEqual({
      ...{ id: endpoint.id, url: remoteSink.url(endpoint.path), types: ["order.*"] },
      ...{ description: null, status: "enabled", reason: null, createdAt: endpoint.createdAt },
      ...{ olderKeysUntil: [], waiting: 0, parked: 0 },
    });
    expect((await call("PUT", path, { as })).headers.get("allow")).toBe("GET, DELETE");
    expect((await call("DELETE", path, { as })).status).toBe(204);
    expect((await call("GET", path, { as })).status).toBe(404);
    const list = await call("GET", "/webhooks", { as });
    expect(list.body).toEqual({ endpoints: [] });
  });

  it("are at most fifty", async () => {
    const as = stranger();
    const body = { url: "https://example.com/" };
    const made = await Promise.all(
      Array.from({ length: 52 }, () => call("POST", "/webhooks", { as, body })),
    );
    const statuses = made.map(({ status }) => status).toSorted((a, b) => a - b);
    expect(statuses).toEqual([...Array<number>(50).fill(201), 409, 409]);
  });
});

describe("a target", () => {
  const as = stranger();
  const post = (body: object) => call("POST", "/webhooks", { as, body });

  it.each([
    ...["http://example.com/", "ftp://example.com/", "file:///etc/passwd", "data:text/plain,x"],
    ...[
      "",
      "/relative",
      "//example.com",
      "https://",
      "not a url",
      `https://example.com/${"x".repeat(2_000)}`,
    ],
    ...[
      "https://user@example.com/",
      "https://user:pass@example.com/",
      "https://:pass@example.com/",
    ],
    // IPv4, in every spelling that a URL may have.
    ...["https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/"],
    ...["https://0x7f.1/", "https://0177.0.0.1/", "https://017700000001/", "https://127.0.0.1./"],
    ...[
      "https://10.0.0.1/",
      "https://169.254.169.254/",
      "https://8.8.8.8/",
      "https://0/",
      "https://0.0.0.0/",
    ],
    ...["https://１２７.０.０.１/", "https://127。0。0。1/", "https://%31%32%37.0.0.1/"],
    // IPv6.
    ...["https://[::1]/", "https://[::]/", "https://[fe80::1]/", "https://[fd00::1]/"],
    ...["https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[64:ff9b::7f00:1]/"],
    // Names that are nobody's on the internet.
    ...["https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://a.localhost/"],
    ...[
      "https://ｌｏｃａｌｈｏｓｔ/",
      "https://printer.local/",
      "https://metadata.google.internal/",
    ],
    ...["https://router.home.arpa/", "https://intranet/", "https://internal/", "https://a.local./"],
    ...["https://localhost.localdomain/", "https://example.com../"],
    // Ports of other services.
    ...["https://example.com:80/", "https://example.com:22/", "https://example.com:1023/"],
    ...["http://127.0.0.1:1/", "http://127.0.0.1/"],
  ])("%s is refused", async (url) => {
    const { status, body } = await post({ url });
    expect({ status, field: body["field"] }).toEqual({ status: 422, field: "url" });
  });

  it.each([
    ["https://example.com/hooks?a=b", "https://example.com/hooks?a=b"],
    ["https://EXAMPLE.com", "https://example.com/"],
    ["https://example.com:443/", "https://example.com/"],
    ["https://example.com:8443/", "https://example.com:8443/"],
    ["https://hooks.local.example.com/", "https://hooks.local.example.com/"],
    ["https://bücher.example/", "https://xn--bcher-kva.example/"],
  ])("%s is taken", async (url, normal) => {
    const { status, body } = await post({ url });
    expect({ status, url: body["url"] }).toEqual({ status: 201, url: normal });
  });

  it.each([
    [{}, "url"],
    [{ url: "https://example.com/", types: [] }, "types"],
    [{ url: "https://example.com/", types: ["a*b"] }, "types.0"],
    [{ url: "https://example.com/", secret: "mine" }, "secret"],
  ])("comes with what is known: not %o", async (body, field) => {
    expect(await post(body)).toMatchObject({ status: 422, body: { field } });
  });
});
