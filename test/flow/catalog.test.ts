import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { menu, pizzaNames } from "../../src/cli/menu.ts";
import type { PageOfProducts, Product, Stock } from "../../services/contracts/catalog.ts";
import { stockTheShop } from "../../src/cli/assortment.ts";
import { startEphemeralFleet } from "../../src/cli/fleet.ts";
import { makeSecrets, mintToken } from "../../src/cli/secrets.ts";

/** The whole shop, whose catalog is filled and asked by way of the gateway. */
let fleet: Awaited<ReturnType<typeof startEphemeralFleet>>;
const tokens = { carla: "", staff: "", stranger: "" };

beforeAll(async () => {
  const secrets = makeSecrets();
  fleet = await startEphemeralFleet(secrets);
  const operator = { subject: "olga", roles: ["operator"] as const };
  tokens.carla = await mintToken(secrets, { subject: "carla", roles: ["customer"] }, "10m");
  tokens.staff = await mintToken(secrets, operator, "10m");
  tokens.stranger = await mintToken(secrets, { ...operator, tenant: "elsewhere" }, "10m");
});
afterAll(() => fleet.close());

const at = "/api/catalog/products";

const raw = (path: string, init: RequestInit = {}, who: keyof typeof tokens = "carla") =>
  fetch(new URL(path, fleet.url), {
    ...init,
    headers: { Authorization: `Bearer ${tokens[who]}`, ...(init.headers as object | undefined) },
  });

async function call<Body = Record<string, unknown>>(
  who: keyof typeof tokens,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: Body }> {
  const json = { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await raw(path, { method, ...(body === undefined ? {} : json) }, who);
  const text = await response.text();
  return { status: response.status, body: (text === "" ? {} : JSON.parse(text)) as Body };
}

describe("the assortment", () => {
  it("is the menu, is put once, and leaves alone what is there", async () => {
    await Promise.all([
      stockTheShop(fleet.url, tokens.staff),
      stockTheShop(fleet.url, tokens.staff),
    ]);
    const { body } = await call<PageOfProducts>("carla", "GET", at);
    expect(body.next).toBeNull();
    expect(new Map(body.products.map(({ id, name, price }) => [id, { name, price }]))).toEqual(
      new Map(Object.entries(menu)),
    );
    for (const { description, picture, available } of body.products) {
      expect(description).not.toBe("");
      expect(picture).toMatch(/^\/api\/catalog\/pictures\//);
      expect(available).toBe(true);
    }
    expect(new Set(body.products.map(({ picture }) => picture)).size).toBe(pizzaNames.length);
    await call("staff", "PUT", `${at}/mango-tango/stock`, { onHand: 7 });
    await stockTheShop(fleet.url, tokens.staff);
    expect(await call<Stock>("staff", "GET", `${at}/mango-tango/stock`)).toMatchObject({
      ...{ status: 200, body: { onHand: 7, reserved: 0, available: 7 } },
    });
  });

  it("is found, page by page, and each by its id", async () => {
    expect(await call("carla", "GET", `${at}?q=jalapen`)).toMatchObject({
      ...{ status: 200, body: { products: [{ id: "papaya-picante" }], next: null } },
    });
    const first = await call<PageOfProducts>("carla", "GET", `${at}?limit=3`);
    const rest = await call<PageOfProducts>(
      ...(["carla", "GET", `${at}?limit=3&after=${first.body.next}`] as const),
    );
    expect([...first.body.products, ...rest.body.products].map(({ id }) => id)).toEqual(
      [...pizzaNames].toSorted(),
    );
    expect(await call("carla", "GET", `${at}/mango-tango`)).toMatchObject({
      ...{ status: 200, body: { id: "mango-tango", ...menu["mango-tango"] } },
    });
  });

  it("has pictures as HTTP has them: whole, in parts, unchanged, and its head alone", async () => {
    const { picture } = (await call<Product>("carla", "GET", `${at}/mango-tango`)).body;
    const path = picture!;
    const whole = await raw(path);
    const bytes = new Uint8Array(await whole.arrayBuffer());
    expect(whole.status).toBe(200);
    expect([...bytes.subarray(0, 4)]).toEqual([0x89, 0x50, 0x4e, 0x47]);
    const etag = whole.headers.get("etag")!;
    for (const [name, value] of [
      ["content-type", "image/png"],
      ["cache-control", "private, max-age=31536000, immutable"],
      ["content-security-policy", "default-src 'none'; sandbox"],
      ["x-content-type-options", "nosniff"],
      ["content-disposition", "inline"],
      ["content-length", String(bytes.length)],
    ] as const) {
      expect(whole.headers.get(name), name).toBe(value);
    }
    const head = await raw(path, { method: "HEAD" });
    expect(head.status).toBe(200);
    expect(head.headers.get("etag")).toBe(etag);
    expect(head.headers.get("content-length")).toBe(String(bytes.length));
    const part = await raw(path, { headers: { Range: "bytes=1-3" } });
    expect(part.status).toBe(206);
    expect(part.headers.get("content-range")).toBe(`bytes 1-3/${bytes.length}`);
    expect(await part.text()).toBe("PNG");
    const other = await raw(path, { headers: { Range: "bytes=1-3", "If-Range": `"other"` } });
    expect(other.status).toBe(200);
    await other.body?.cancel();
    const outside = await raw(path, { headers: { Range: "bytes=99999999-" } });
    expect(outside.status).toBe(416);
    expect(await outside.json()).toMatchObject({
      type: "urn:durachart:problem:range-not-satisfiable",
    });
    expect((await raw(path, { headers: { "If-None-Match": etag } })).status).toBe(304);
  });
});

describe("what is refused", () => {
  const good = { name: "Good", description: "", price: { amount: 1, currency: "EUR" } };

  it.each<[keyof typeof tokens, string, string, unknown, number]>([
    ["carla", "PUT", "mine", good, 403],
    ["carla", "PUT", "mine", "x".repeat(20_000), 403],
    ["carla", "DELETE", "mango-tango", undefined, 403],
    ["carla", "GET", "mango-tango/stock", undefined, 403],
    ["carla", "PUT", "mango-tango/stock", { onHand: 1 }, 403],
    ["carla", "PUT", "mango-tango/picture", {}, 403],
    ["staff", "PUT", "mine", { ...good, price: 1 }, 422],
    ["staff", "PUT", "mine", { ...good, available: true }, 422],
    ["staff", "PUT", "mine", { ...good, description: "x".repeat(20_000) }, 413],
    ["staff", "PUT", "a%20b", good, 400],
    ["staff", "PUT", "a%2Fb", good, 400],
    ["staff", "PUT", "mango-tango/stock", { onHand: -1 }, 422],
    ["staff", "PUT", "mango-tango/stock", {}, 422],
    ["staff", "PUT", "none/stock", { onHand: 1 }, 404],
    ["staff", "PUT", "mango-tango/picture", {}, 415],
    ["staff", "PUT", "none/picture", {}, 404],
    ["carla", "GET", "none", undefined, 404],
    ["carla", "GET", "", undefined, 404],
    ["carla", "GET", "mango-tango/recipe", undefined, 404],
    ["carla", "GET", "mango-tango/stock/more", undefined, 404],
    ["carla", "POST", "mango-tango", {}, 405],
    ["carla", "GET", "mango-tango/picture", undefined, 405],
  ])("%s: %s %s is told why, and changes nothing", async (who, method, path, body, status) => {
    const before = (await call("carla", "GET", `${at}?limit=100`)).body;
    const answer = await call(who, method, `${at}/${path}`, body);
    expect(answer.status).toBe(status);
    expect(answer.body["detail"]).toEqual(expect.any(String));
    expect((await call("carla", "GET", `${at}?limit=100`)).body).toEqual(before);
  });

  it.each(["limit=0", "limit=x", "limit=101", "after=x", `q=${"x".repeat(201)}`])(
    "a query of %s",
    async (query) => {
      expect((await call("carla", "GET", `${at}?${query}`)).status).toBe(400);
    },
  );

  it("a body of more than 5 MB, and one that is no JSON", async () => {
    const large = { method: "PUT", body: new Uint8Array(5_000_001) };
    expect((await raw(`${at}/mango-tango/picture`, large, "staff")).status).toBe(413);
    const broken = { method: "PUT", body: "{", headers: { "Content-Type": "application/json" } };
    expect((await raw(`${at}/mango-tango`, broken, "staff")).status).toBe(400);
  });

  it("who has no token, whatever they ask for", async () => {
    const { picture } = (await call<Product>("carla", "GET", `${at}/mango-tango`)).body;
    for (const [method, path] of [
      ["GET", at],
      ["GET", `${at}/mango-tango`],
      ["PUT", `${at}/mango-tango`],
      ["DELETE", `${at}/mango-tango`],
      ["GET", `${at}/mango-tango/stock`],
      ["PUT", `${at}/mango-tango/stock`],
      ["PUT", `${at}/mango-tango/picture`],
      ["GET", picture!],
      ["HEAD", picture!],
      ["GET", "/api/catalog"],
    ] as const) {
      expect((await fetch(new URL(path, fleet.url), { method })).status, path).toBe(401);
    }
  });

  it("another tenant sees nothing of it", async () => {
    const { picture } = (await call<Product>("carla", "GET", `${at}/mango-tango`)).body;
    expect((await call<PageOfProducts>("stranger", "GET", at)).body.products).toEqual([]);
    for (const path of [`${at}/mango-tango`, `${at}/mango-tango/stock`, picture!]) {
      expect((await call("stranger", "GET", path)).status).toBe(404);
    }
    expect((await call("stranger", "DELETE", `${at}/mango-tango`)).status).toBe(204);
    expect((await call("carla", "GET", `${at}/mango-tango`)).status).toBe(200);
  });
});
