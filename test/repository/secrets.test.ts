import { execFileSync } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { suspectsIn } from "../support/secret-scan.ts";

const root = join(import.meta.dirname, "../..");

/** What looks like a key and is none: file → its beginnings, and why. */
const known: Record<string, { begins: RegExp; why: string }> = {
  "machines/versions.lock.json": { begins: /^sha256-/, why: "fingerprints of machines" },
  "package-lock.json": { begins: /^sha512-/, why: "hashes of packages" },
  "test/catalog/samples.ts": { begins: /^(iVBORw0KGgo|UklGR)/, why: "a PNG and WebPs" },
  "test/contract/worker.ts": {
    begins: /^https:\/\/somebody:secret@/,
    why: "the address of a broker that is a function in that file",
  },
};

describe("The repository", () => {
  const files = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" })
    .split("\0")
    .filter((file) => file !== "");

  it("holds no key", () => {
    expect(files.length).toBeGreaterThan(500);
    const suspects = files.flatMap((file) =>
      suspectsIn(readFileSync(join(root, file), "utf8"))
        .filter(({ text }) => !known[file]?.begins.test(text))
        .map(({ line, what, text }) => `${file}:${line}: ${what}: ${text}`),
    );
    expect(suspects).toEqual([]);
  });

  it("needs each exception still", () => {
    for (const [file, { begins }] of Object.entries(known)) {
      const found = suspectsIn(readFileSync(join(root, file), "utf8"));
      expect(found.some(({ text }) => begins.test(text))).toBe(true);
    }
  });
});

describe("What looks for keys", () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  const jwk = JSON.stringify(privateKey.export({ format: "jwk" }));
  const password = "hunter22";
  const base64 = (bytes: number) => randomBytes(bytes).toString("base64");

  it.each([
    ["a PEM file", privateKey.export({ format: "pem", type: "pkcs8" })],
    ["a private JWK", jwk],
    ["a private JWK within JSON", JSON.stringify({ keys: jwk })],
    ["a webhook's key", `whsec_${base64(24)}`],
    [
      "a webhook's key in a longer line",
      `const secret = "whsec_${base64(24)}"; // ${"x".repeat(99)}`,
    ],
    ["an AWS key", `AKIA${"A1B2C3D4".repeat(2)}`],
    ["a GitHub token", `ghp_${"aB3".repeat(12)}`],
    ["a signed token", `eyJ${"a".repeat(20)}.eyJ${"b".repeat(20)}.${"c".repeat(40)}`],
    ["an address with a password", `amqps://shop:${password}@broker.example.com`],
  ])("finds %s", (_, text) => {
    expect(suspectsIn(`first\n${String(text)}\nlast`)).not.toEqual([]);
  });

  it("finds random bytes as base64, nearly always", () => {
    const found = Array.from({ length: 300 }, (_, index) =>
      suspectsIn(`key: "${randomBytes(32).toString(index % 2 ? "base64" : "base64url")}"`),
    ).filter(({ length }) => length > 0);
    // One in three hundred is too plain; over ten in three hundred come once in a million runs.
    expect(found.length).toBeGreaterThan(290);
  });

  it.each([
    'a public JWK: {"kty":"OKP","crv":"Ed25519","kid":"test"}',
    "whsec_…",
    "amqp://guest:guest@127.0.0.1",
    "https://user:password@host/vhost",
    "src/ingress/signed-content.ts and test/webhooks/fleet/delivery.test.ts",
    "aVeryLongNameOfAFunctionThatSaysAllOfWhatItDoes",
  ])("leaves %s alone", (text) => {
    expect(suspectsIn(text)).toEqual([]);
  });
});
