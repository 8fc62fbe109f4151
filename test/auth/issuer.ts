import { env } from "cloudflare:workers";
import { exportJWK, generateKeyPair, SignJWT, type JWK } from "jose";
import type { KeyPublisher, PublicKey } from "../../src/contract/published-keys.ts";

let counter = 0;

/** An issuer of the test's own, so that no door knows its keys already. */
export class Issuer {
  readonly issuer = `https://issuer-${(counter += 1)}.test`;
  readonly audience = "durachart";
  readonly published: PublicKey[] = [];
  readonly revoked: string[] = [];
  asked = 0;
  isDown = false;
  readonly #keys = new Map<string, { key: CryptoKey; alg: string; public: JWK }>();

  /** A new key, published or not yet. */
  async addKey(
    kid: string,
    alg: "EdDSA" | "ES256" | "RS256" | "PS256" = "EdDSA",
    isPublished = true,
  ) {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const shown = { ...(await exportJWK(publicKey)), kid, alg, use: "sig" };
    this.#keys.set(kid, { key: privateKey, alg, public: shown });
    if (isPublished) this.published.push(shown as PublicKey);
    return this;
  }

  publish(kid: string): void {
    this.published.push(this.publicOf(kid));
  }

  publicOf(kid: string): PublicKey {
    return this.#keys.get(kid)!.public as PublicKey;
  }

  privateOf(kid: string): CryptoKey {
    return this.#keys.get(kid)!.key;
  }

  /** How a door is set that asks this issuer, as it would the auth service. */
  settings() {
    const AUTH: KeyPublisher = {
      published: async () => {
        this.asked += 1;
        if (this.isDown) throw new Error("The issuer is down.");
        return { keys: structuredClone(this.published), revoked: [...this.revoked] };
      },
    };
    return { TOKEN_ISSUER: this.issuer, TOKEN_AUDIENCE: this.audience, AUTH };
  }

  /** The claims of a good token. */
  claims(): Record<string, unknown> {
    const now = Math.floor(Date.now() / 1_000);
    return {
      ...{ iss: this.issuer, aud: this.audience, sub: "olga", iat: now, nbf: now, exp: now + 300 },
      ...{ jti: crypto.randomUUID(), sid: "s-1", tenant: "tropical", roles: ["operator"] },
    };
  }

  /** A good token, but for what is altered; a claim or header that is undefined is left out. */
  token(
    altered: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
    kid = "k1",
  ): Promise<string> {
    const { key, alg } = this.#keys.get(kid)!;
    const given = { alg, typ: "at+jwt", kid, ...header } as { alg: string };
    return new SignJWT({ ...this.claims(), ...altered }).setProtectedHeader(given).sign(key);
  }
}

/** An answer of the key server outside, and how often it was asked for. */
export const keyServer = {
  url: (name: string) => `${env.TEST_KEY_SERVER}/${name}`,
  async answer(name: string, answer: { status: number; body: unknown; delay?: number }) {
    await fetch(keyServer.url(name), { method: "PUT", body: JSON.stringify(answer) });
  },
  async count(name: string): Promise<number> {
    return Number(await (await fetch(`${keyServer.url(name)}/count`)).text());
  },
};
