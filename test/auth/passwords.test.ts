import { describe, expect, it } from "vitest";
import {
  checkPassword,
  COST,
  hashPassword,
  inPlace,
  isOutdated,
  isPassword,
} from "../../services/auth/passwords.ts";

describe("a password", () => {
  it("is hashed by scrypt with N = 2^15, r = 8, p = 3, and a salt of its own", () => {
    expect(COST).toEqual({ log2N: 15, r: 8, p: 3 });
    const [one, other] = [hashPassword("mango tango"), hashPassword("mango tango")];
    expect(one).toMatch(/^\$scrypt\$ln=15,r=8,p=3\$[\w-]{22}\$[\w-]{43}$/);
    expect(one).not.toBe(other);
    expect(isPassword("mango tango", one)).toBe(true);
    expect(isPassword("mango tango", other)).toBe(true);
    expect(isPassword("mango tangO", one)).toBe(false);
  });

  it("is compared as scrypt's own test vector has it", () => {
    // RFC 7914, section 12: scrypt("pleaseletmein", "SodiumChloride", 16384, 8, 1, 64), its first half.
    const hash = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2" as const;
    const stored = `$scrypt$ln=14,r=8,p=1$${Buffer.from("SodiumChloride").toString("base64url")}$${Buffer.from(hash, "hex").toString("base64url")}`;
    expect(isPassword("pleaseletmein", stored)).toBe(true);
    expect(isOutdated(stored)).toBe(true);
  });

  it("is the same however its characters are composed", () => {
    const stored = hashPassword("pa\u0308sswo\u0308rter");
    expect(isPassword("p\u00e4ssw\u00f6rter", stored)).toBe(true);
  });

  it("of nobody is never right", () => {
    expect(isPassword("", undefined)).toBe(false);
    expect(isPassword("mango tango", undefined)).toBe(false);
  });

  it.each([
    ["seven77", false],
    ["eight888", true],
    ["ä".repeat(4), true],
    ["x".repeat(1_024), true],
    ["x".repeat(1_025), false],
    // One character that NFKC makes eighteen of.
    ["\ufdfa".repeat(60), false],
    ["half a pair \ud800", false],
  ])("%j may be one: %s", (password, isOne) => {
    if (isOne) expect(() => checkPassword(password)).not.toThrow();
    else expect(() => checkPassword(password)).toThrow(/8 to 1024 bytes/);
  });
});

describe("hashing", () => {
  it("is for eight at once; the ninth is told to come again", async () => {
    let letGo = () => {};
    const held = new Promise<void>((resolve) => (letGo = resolve));
    const eight = Array.from({ length: 8 }, () => inPlace(() => held));
    await expect(inPlace(async () => 1)).rejects.toMatchObject({
      problem: { status: 503, retryAfter: 2 },
    });
    letGo();
    await Promise.all(eight);
    expect(await inPlace(async () => 1)).toBe(1);
  });
});
