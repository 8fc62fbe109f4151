import { CompactEncrypt, CompactSign, exportJWK, generateKeyPair, SignJWT } from "jose";
import { beforeAll, describe, expect, it } from "vitest";
import { authenticate, authenticateHeader } from "../../src/ingress/token.ts";
import { Issuer } from "./issuer.ts";

const issuer = new Issuer();
beforeAll(async () => {
  await issuer.addKey("k1");
  await issuer.addKey("k2", "ES256");
  await issuer.addKey("rsa", "RS256");
  await issuer.addKey("unpublished", "EdDSA", false);
});

const enter = (token: string, more: object = {}) =>
  authenticateHeader(`Bearer ${token}`, { ...issuer.settings(), ...more });
const refused = { problem: { status: 401, type: "urn:durachart:problem:unauthenticated" } };
const encode = (part: unknown) =>
  Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");
const now = () => Math.floor(Date.now() / 1_000);

describe("a good token", () => {
  it.each(["k1", "k2"])("by %s is let in, and names what it proved itself by", async (kid) => {
    const jti = crypto.randomUUID();
    expect(await enter(await issuer.token({ jti, scope: "a b" }, {}, kid))).toEqual({
      ...{ tenant: "tropical", subject: "olga", roles: ["operator"] },
      ...{ scopes: ["a", "b"], credential: `token:${jti}` },
    });
  });

  it("without a jti is named by its key", async () => {
    const caller = await enter(await issuer.token({ jti: undefined }));
    expect(caller.credential).toBe("token:k1");
  });

  it("may name several audiences, ours among them", async () => {
    const caller = await enter(await issuer.token({ aud: ["elsewhere", "durachart"] }));
    expect(caller.subject).toBe("olga");
  });

  it("may be five seconds over, or early, as clocks differ", async () => {
    await enter(await issuer.token({ exp: now() - 3 }));
    await enter(await issuer.token({ nbf: now() + 3 }));
  });
});

describe("RFC 8725", () => {
  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ["another issuer", { iss: "https://evil.test" }, {}],
    ["an issuer that begins like ours", { iss: `${issuer.issuer}.evil.test` }, {}],
    ["issuers in a list", { iss: [issuer.issuer] }, {}],
    ["no issuer", { iss: undefined }, {}],
    ["another audience", { aud: "elsewhere" }, {}],
    ["audiences without ours", { aud: ["elsewhere", "durachart.evil"] }, {}],
    ["an empty audience", { aud: [] }, {}],
    ["no audience", { aud: undefined }, {}],
    ["an end that has passed", { exp: now() - 10 }, {}],
    ["an end that is text", { exp: String(now() + 300) }, {}],
    ["no end", { exp: undefined }, {}],
    ["a beginning yet to come", { nbf: now() + 60 }, {}],
    ["a beginning that is text", { nbf: "now" }, {}],
    ["no subject", { sub: undefined }, {}],
    ["an empty subject", { sub: "" }, {}],
    ["no tenant", { tenant: undefined }, {}],
    ["a tenant that is a path", { tenant: "a/b" }, {}],
    ["tenants in a list", { tenant: ["tropical"] }, {}],
    ["no roles", { roles: undefined }, {}],
    ["roles that are text", { roles: "operator" }, {}],
    ["a jurisdiction that is none", { jurisdiction: "moon" }, {}],
    ["a session that is no text", { sid: 7 }, {}],
    ["the type of an id token", {}, { typ: "JWT" }],
    ["no type", {}, { typ: undefined }],
    ["the type of something else", {}, { typ: "logout+jwt" }],
    ["no key's name", {}, { kid: undefined }],
    ["a key's name that is no text", {}, { kid: 1 }],
    ["an unknown key", {}, { kid: "other" }],
    ["a path as a key", {}, { kid: "../../../../dev/null" }],
    ["a query as a key", {}, { kid: "k1' UNION SELECT 'x' --" }],
    ["an address as a key", {}, { kid: "https://evil.test/keys#k1" }],
    ["a name of every object as a key", {}, { kid: "__proto__" }],
    ["another object's name as a key", {}, { kid: "constructor" }],
    ["jku", {}, { jku: "https://evil.test/jwks.json" }],
    ["x5u", {}, { x5u: "https://evil.test/cert.pem" }],
    ["x5c", {}, { x5c: ["MIIB"] }],
    ["b64", {}, { b64: true }],
  ])("refuses %s", async (_, claims, header) => {
    await expect(enter(await issuer.token(claims, header))).rejects.toMatchObject(refused);
  });

  it("refuses a key that the token brings along", async () => {
    const own = await generateKeyPair("EdDSA");
    const header = { ...{ alg: "EdDSA", typ: "at+jwt", kid: "k1" } };
    for (const more of [{ jwk: await exportJWK(own.publicKey) }, {}]) {
      const token = await new SignJWT(issuer.claims())
        .setProtectedHeader({ ...header, ...more })
        .sign(own.privateKey);
      await expect(enter(token)).rejects.toMatchObject(refused);
    }
    const good = await issuer.token({}, { jwk: issuer.publicOf("k1") });
    await expect(enter(good)).rejects.toMatchObject(refused);
  });

  it("refuses critical extensions", async () => {
    const bytes = new TextEncoder().encode(JSON.stringify(issuer.claims()));
    const sign = new CompactSign(bytes).setProtectedHeader({
      ...{ alg: "EdDSA", typ: "at+jwt", kid: "k1", crit: ["exp2"], exp2: 1 },
    });
    const token = await sign.sign(issuer.privateOf("k1"), { crit: { exp2: true } });
    await expect(enter(token)).rejects.toMatchObject(refused);
  });

  it.each(["none", "None", "NONE", "nOnE"])("refuses the algorithm %s", async (alg) => {
    const head = encode({ alg, typ: "at+jwt", kid: "k1" });
    const body = encode(issuer.claims());
    for (const token of [`${head}.${body}.`, `${head}.${body}.AAAA`]) {
      await expect(enter(token)).rejects.toMatchObject(refused);
    }
  });

  it.each(["HS256", "HS384", "HS512"])("refuses %s with the public key as secret", async (alg) => {
    const key = issuer.publicOf("k1");
    const raw = Buffer.from(key["x"] as string, "base64url");
    const secrets = [JSON.stringify(key), key["x"] as string, JSON.stringify({ keys: [key] })];
    const bytes = [...secrets.map((one) => new TextEncoder().encode(one)), raw];
    for (const secret of bytes) {
      const padded = new Uint8Array(Math.max(64, secret.length));
      padded.set(secret);
      for (const one of [padded, secret.length >= 64 ? secret : padded]) {
        const token = await new SignJWT(issuer.claims())
          .setProtectedHeader({ alg, typ: "at+jwt", kid: "k1" })
          .sign(one);
        await expect(enter(token)).rejects.toMatchObject(refused);
      }
    }
  });

  it("refuses one algorithm with another's key, even where the signature is good", async () => {
    for (const [claimed, kid] of [
      ["ES256", "k1"],
      ["EdDSA", "k2"],
      ["RS256", "k1"],
      ["PS256", "k2"],
    ] as const) {
      const [, body] = (await issuer.token({}, {}, kid)).split(".");
      const head = encode({ alg: claimed, typ: "at+jwt", kid });
      const signature = await crypto.subtle.sign(
        kid === "k1" ? "Ed25519" : { name: "ECDSA", hash: "SHA-256" },
        issuer.privateOf(kid),
        new TextEncoder().encode(`${head}.${body}`),
      );
      const token = `${head}.${body}.${Buffer.from(signature).toString("base64url")}`;
      await expect(enter(token)).rejects.toMatchObject(refused);
    }
  });

  it("refuses keys that are none for tokens: RSA, secrets, other uses, other curves, halves", async () => {
    const weak = new Issuer();
    await weak.addKey("good");
    await weak.addKey("rsa", "RS256");
    await weak.addKey("used", "EdDSA", false);
    const { kid: _, ...nameless } = weak.publicOf("good");
    weak.published.push(
      { kty: "oct", kid: "secret", k: "c2VjcmV0", alg: "HS256" },
      { ...weak.publicOf("used"), kid: "for-encryption", use: "enc" },
      { ...weak.publicOf("used"), kid: "for-signing-only", key_ops: ["sign"] },
      { ...weak.publicOf("used"), kid: "lies", alg: "ES256" },
      { kty: "EC", crv: "P-256", kid: "no-point", x: "A".repeat(43), y: "A".repeat(43) },
      { kty: "OKP", crv: "Ed25519", kid: "short", x: "AAAA" },
      nameless as { kty: string },
    );
    const door = (token: string) => authenticateHeader(`Bearer ${token}`, weak.settings());
    await door(await weak.token({}, {}, "good"));
    await expect(door(await weak.token({}, {}, "rsa"))).rejects.toMatchObject(refused);
    for (const kid of ["for-encryption", "for-signing-only", "lies", "short", "no-point"]) {
      await expect(door(await weak.token({}, { kid }, "used"))).rejects.toMatchObject(refused);
    }
    const secret = await new SignJWT(weak.claims())
      .setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid: "secret" })
      .sign(new TextEncoder().encode("secret".padEnd(32, "\0")));
    await expect(door(secret)).rejects.toMatchObject(refused);
  });

  it("refuses a token in which one character of any part is another", async () => {
    const parts = (await issuer.token()).split(".");
    for (const at of [0, 1, 2]) {
      const part = parts[at]!;
      const middle = Math.floor(part.length / 2);
      const other = part[middle] === "A" ? "B" : "A";
      const altered = parts.with(at, part.slice(0, middle) + other + part.slice(middle + 1));
      await expect(enter(altered.join("."))).rejects.toMatchObject(refused);
    }
    const [head, , signature] = parts;
    const [, body] = (await issuer.token({ roles: ["administrator"] })).split(".");
    await expect(enter(`${head}.${body}.${signature}`)).rejects.toMatchObject(refused);
  });

  it("refuses what is encrypted in the place of what is signed", async () => {
    const plain = new TextEncoder().encode(await issuer.token());
    const key = crypto.getRandomValues(new Uint8Array(32));
    const jwe = await new CompactEncrypt(plain)
      .setProtectedHeader({ alg: "dir", enc: "A256GCM", typ: "at+jwt", kid: "k1" })
      .encrypt(key);
    await expect(enter(jwe)).rejects.toMatchObject(refused);
    const header = encode({ alg: "EdDSA", enc: "A256GCM", typ: "at+jwt", kid: "k1" });
    await expect(enter(`${header}.e30.AAAA`)).rejects.toMatchObject(refused);
  });

  it("refuses a token in a token, claims twice, and what is no object", async () => {
    const head = encode({ alg: "EdDSA", typ: "at+jwt", kid: "k1" });
    const sign = async (body: string) => {
      const input = `${head}.${encode(body)}`;
      const bytes = new TextEncoder().encode(input);
      const signature = await crypto.subtle.sign("Ed25519", issuer.privateOf("k1"), bytes);
      return `${input}.${Buffer.from(signature).toString("base64url")}`;
    };
    const nested = await sign(await issuer.token());
    const twice = JSON.stringify({ ...issuer.claims() }).replace(
      `"aud":"durachart"`,
      `"aud":"durachart","aud":"elsewhere"`,
    );
    for (const token of [nested, await sign("[]"), await sign("null"), await sign(twice)]) {
      await expect(enter(token)).rejects.toMatchObject(refused);
    }
  });

  it("refuses a token of over 4,096 characters, however good", async () => {
    const token = await issuer.token({ padding: "x".repeat(3_000) });
    expect(token.length).toBeGreaterThan(4_096);
    await expect(enter(token)).rejects.toMatchObject(refused);
    await enter(await issuer.token({ padding: "x".repeat(2_000) }));
  });

  it("refuses a key that isn't published", async () => {
    const token = await issuer.token({}, {}, "unpublished");
    await expect(enter(token)).rejects.toMatchObject(refused);
  });
});

describe("the Authorization header", () => {
  const ask = (headers: [string, string][]) =>
    authenticate(new Request("https://x.test/", { headers }), issuer.settings());

  it("must be there once, as Bearer and a token", async () => {
    const token = await issuer.token();
    await ask([["Authorization", `Bearer ${token}`]]);
    await ask([["authorization", `bearer ${token}`]]);
    const wrong: [string, string][][] = [
      [],
      [["Authorization", ""]],
      [["Authorization", "Bearer"]],
      [["Authorization", "Bearer "]],
      [["Authorization", token]],
      // An opaque one, as refresh tokens are.
      [["Authorization", `Bearer ${"A".repeat(43)}`]],
      [["Authorization", `Basic ${btoa(`olga:${token}`)}`]],
      [["Authorization", `DPoP ${token}`]],
      [["Authorization", `Token ${token}`]],
      [["Authorization", `Bearer ${token} x`]],
      [["Authorization", `Bearer "${token}"`]],
      [["Authorization", `Bearer access_token=${token}`]],
      [["X-Authorization", `Bearer ${token}`]],
      [["Cookie", `access_token=${token}`]],
      [
        ["Authorization", `Bearer ${token}`],
        ["Authorization", `Bearer ${token}`],
      ],
      [
        ["Authorization", "Bearer x.y.z"],
        ["Authorization", `Bearer ${token}`],
      ],
    ];
    for (const headers of wrong) await expect(ask(headers)).rejects.toMatchObject(refused);
  });

  it("and no parameter of the address", async () => {
    const request = new Request(`https://x.test/?access_token=${await issuer.token()}`);
    await expect(authenticate(request, issuer.settings())).rejects.toMatchObject(refused);
  });
});
