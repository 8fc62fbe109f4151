import { importJWK, SignJWT } from "jose";
import { beforeAll, describe, expect, it } from "vitest";
import { authenticateHeader } from "../../src/ingress/token.ts";
import { Issuer } from "./issuer.ts";

const issuer = new Issuer();
beforeAll(async () => void (await issuer.addKey("k1")));

const enter = (token: string, more: object = {}) =>
  authenticateHeader(`Bearer ${token}`, { ...issuer.settings(), ...more });
const refused = { problem: { status: 401, type: "urn:durachart:problem:unauthenticated" } };

describe("an outside issuer's names of claims", () => {
  it("are mapped", async () => {
    const TOKEN_CLAIMS = JSON.stringify({ tenant: "https://x.test/org", roles: "groups" });
    const claims = { tenant: "evil", "https://x.test/org": "outside", groups: ["customer"] };
    const token = await issuer.token({ ...claims, roles: ["administrator"] });
    expect(await enter(token, { TOKEN_CLAIMS })).toMatchObject({
      ...{ tenant: "outside", roles: ["customer"] },
    });
    // What other settings made of the same token counts for them alone.
    expect(await enter(token)).toMatchObject({ tenant: "evil", roles: ["administrator"] });
    expect(await enter(token, { TOKEN_CLAIMS })).toMatchObject({ tenant: "outside" });
  });

  it("malformed close the door", async () => {
    const token = await issuer.token();
    for (const TOKEN_CLAIMS of ["x", "null", `{"tenants":"x"}`, `{"tenant":""}`]) {
      await expect(enter(token, { TOKEN_CLAIMS })).rejects.toMatchObject({
        problem: { status: 503 },
      });
    }
  });
});

describe("an outside issuer that signs by RSA", () => {
  const outside = new Issuer();
  const TOKEN_ALGORITHMS = "RS256 PS256";
  const knock = (token: string, more: object = {}) =>
    authenticateHeader(`Bearer ${token}`, { ...outside.settings(), TOKEN_ALGORITHMS, ...more });
  beforeAll(async () => {
    await outside.addKey("k1");
    await outside.addKey("rs", "RS256");
    await outside.addKey("ps", "PS256");
    await outside.addKey("silent", "RS256", false);
    const { alg: _, ...silent } = outside.publicOf("silent");
    outside.published.push(silent as never);
  });

  it.each(["rs", "ps", "silent"])("is let in where the door is told to: %s", async (kid) => {
    const token = await outside.token({}, {}, kid);
    expect(await knock(token)).toMatchObject({ subject: "olga" });
    await expect(authenticateHeader(`Bearer ${token}`, outside.settings())).rejects.toMatchObject(
      refused,
    );
  });

  it("is not by one algorithm with another's key, nor by what the door wasn't told", async () => {
    const sign = (kid: string, alg: "RS256" | "PS256", key: CryptoKey) =>
      new SignJWT(outside.claims()).setProtectedHeader({ alg, typ: "at+jwt", kid }).sign(key);
    const as = async (kid: string, name: string) => {
      const pkcs8 = await crypto.subtle.exportKey("pkcs8", outside.privateOf(kid));
      const rsa = { name, hash: "SHA-256" };
      return crypto.subtle.importKey("pkcs8", pkcs8 as ArrayBuffer, rsa, false, ["sign"]);
    };
    for (const token of [
      await sign("rs", "PS256", await as("rs", "RSA-PSS")),
      await sign("silent", "PS256", await as("silent", "RSA-PSS")),
      await sign("ps", "RS256", await as("ps", "RSASSA-PKCS1-v1_5")),
      await outside.token({}, {}, "k1"),
    ]) {
      await expect(knock(token)).rejects.toMatchObject(refused);
    }
    const ps = await outside.token({}, {}, "ps");
    await expect(knock(ps, { TOKEN_ALGORITHMS: "RS256" })).rejects.toMatchObject(refused);
  });

  it.each([1_024, 8_192])(
    "is not by a key of %i bits: it is as good as not there",
    async (bits) => {
      const odd = await new Issuer().addKey("k1");
      odd.published.push({ kty: "RSA", kid: "rsa", n: "w".repeat(bits / 6), e: "AQAB" } as never);
      const settings = { ...odd.settings(), TOKEN_ALGORITHMS: "EdDSA RS256" };
      const token = await odd.token({}, { kid: "rsa" });
      await expect(authenticateHeader(`Bearer ${token}`, settings)).rejects.toMatchObject({
        problem: { detail: "The token names no key of the issuer." },
      });
    },
  );

  it("is not by the public key as a shared secret", async () => {
    const spki = await crypto.subtle.exportKey("spki", await outsideKey("rs"));
    const pem = `-----BEGIN PUBLIC KEY-----\n${Buffer.from(spki as ArrayBuffer).toString("base64")}\n-----END PUBLIC KEY-----\n`;
    const header = { alg: "HS256", typ: "at+jwt", kid: "rs" };
    for (const secret of [pem, JSON.stringify(outside.publicOf("rs"))]) {
      const token = new SignJWT(outside.claims()).setProtectedHeader(header);
      const signed = await token.sign(new TextEncoder().encode(secret));
      await expect(knock(signed)).rejects.toMatchObject(refused);
    }
  });

  const outsideKey = async (kid: string) =>
    (await importJWK(outside.publicOf(kid), "RS256", { extractable: true })) as CryptoKey;
});

describe("the settings of what is taken", () => {
  it("take another type in the place of at+jwt, not beside it", async () => {
    const TOKEN_TYPE = "JWT";
    expect(await enter(await issuer.token({}, { typ: "JWT" }), { TOKEN_TYPE })).toMatchObject({
      subject: "olga",
    });
    await expect(enter(await issuer.token(), { TOKEN_TYPE })).rejects.toMatchObject(refused);
    const none = await issuer.token({}, { typ: undefined });
    await expect(enter(none, { TOKEN_TYPE })).rejects.toMatchObject(refused);
  });

  it.each([
    { TOKEN_ALGORITHMS: "HS256" },
    { TOKEN_ALGORITHMS: "none" },
    { TOKEN_ALGORITHMS: "EdDSA,ES256" },
    { TOKEN_ALGORITHMS: " " },
    { TOKEN_TYPE: "a type" },
  ])("close the door where they are malformed: %o", async (settings) => {
    const closed = { problem: { status: 503 } };
    await expect(enter(await issuer.token(), settings)).rejects.toMatchObject(closed);
  });
});
