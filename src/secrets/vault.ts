import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  type CipherGCM,
} from "node:crypto";
import type { Address } from "../contract/address.ts";
import type { Keyring } from "../contract/keyring.ts";

const CIPHER = "aes-256-gcm";
const KEY = 32;
const NONCE = 12;
const TAG = 16;

/** What every sealed text begins with; the number is the format's. */
const MARK = "sealed.1.";

/** Stands for what could not be sealed, and opens never. */
export const LOST = `${MARK}none.-.-`;

/** It was sealed for something else, was altered, or its key is not among the deployment's. */
export class Unopenable extends Error {
  override name = "Unopenable";
}

/** Its key is not among the deployment's: it may come back. */
export class KeyMissing extends Unopenable {}

/**
 * Seals values of one instance. Each has a data key of its own, which a key of the tenant's wraps, made of
 * the deployment's by HKDF (RFC 5869): AES-256-GCM both times, bound to instance and name. A sealed text is
 * `sealed.1.{key's name}.{wrapped key}.{value}`, in base64url.
 */
export class Vault {
  readonly #keys: Keyring;
  readonly #address: Address;

  constructor(keys: Keyring, address: Address) {
    this.#keys = keys;
    this.#address = address;
  }

  /** @param name of the field, such as `PAY.card.number` */
  seal(name: string, value: string): string {
    const key = randomBytes(KEY);
    const { current } = this.#keys;
    const bound = this.#bound(name);
    const wrapped = encrypt(this.#tenantKey(current, "wrap"), key, `key ${bound}`);
    return `${MARK}${current}.${wrapped}.${encrypt(key, Buffer.from(value), `value ${bound}`)}`;
  }

  /** @throws Unopenable */
  open(name: string, sealed: string): string {
    const { wrapped, value, keyName } = partsOf(sealed);
    const key = this.#unwrap(name, keyName, wrapped);
    return decrypt(key, value, `value ${this.#bound(name)}`).toString();
  }

  /** The same, its key wrapped by the current one; null where it is already. @throws Unopenable */
  rewrapped(name: string, sealed: string): string | null {
    const { wrapped, value, keyName } = partsOf(sealed);
    const { current } = this.#keys;
    if (keyName === current) return null;
    const key = this.#unwrap(name, keyName, wrapped);
    const again = encrypt(this.#tenantKey(current, "wrap"), key, `key ${this.#bound(name)}`);
    return `${MARK}${current}.${again}.${value}`;
  }

  /**
   * What stands for a value in this instance: the same for the same value, and telling nobody without the
   * key which. By each of the keys, the current one first: a repeat may come after a rotation.
   */
  handles(name: string, value: string): string[] {
    return this.#marks(`handle ${this.#bound(name)} ${value}`).map((mark) => `secret_${mark}`);
  }

  /** What stands for a text that could be guessed from its hash; by each of the keys, the current one first. */
  blinded(text: string): string[] {
    return this.#marks(`blinded ${this.#bound("")} ${text}`);
  }

  #marks(text: string): string[] {
    const { current, keys } = this.#keys;
    const names = [current, ...[...keys.keys()].filter((name) => name !== current)];
    return names.map((name) =>
      createHmac("sha256", this.#tenantKey(name, "handle")).update(text).digest("base64url"),
    );
  }

  #unwrap(name: string, keyName: string, wrapped: string): Buffer {
    if (!this.#keys.keys.has(keyName)) {
      throw new KeyMissing(`It is sealed with a key "${keyName}", which SECRETS_KEYS has not.`);
    }
    return decrypt(this.#tenantKey(keyName, "wrap"), wrapped, `key ${this.#bound(name)}`);
  }

  #tenantKey(name: string, use: "wrap" | "handle"): Uint8Array {
    const info = `durachart secrets 1 ${use} ${this.#address.tenant}`;
    const master = this.#keys.keys.get(name)!;
    return new Uint8Array(hkdfSync("sha256", master, new Uint8Array(), info, KEY));
  }

  #bound(name: string): string {
    const { tenant, workflow, id } = this.#address;
    return JSON.stringify([tenant, workflow, id, name]);
  }
}

export function isSealed(value: unknown): value is string {
  return typeof value === "string" && value.startsWith(MARK);
}

function partsOf(sealed: string) {
  const [keyName, wrapped, value, ...more] = sealed.slice(MARK.length).split(".");
  if (!isSealed(sealed) || !keyName || !wrapped || !value || more.length > 0) {
    throw new Unopenable("It is no sealed text.");
  }
  return { keyName, wrapped, value };
}

function encrypt(key: Uint8Array, text: Uint8Array, bound: string): string {
  const nonce = randomBytes(NONCE);
  const cipher: CipherGCM = createCipheriv(CIPHER, key, nonce);
  cipher.setAAD(Buffer.from(bound));
  const body = Buffer.concat([cipher.update(text), cipher.final()]);
  return Buffer.concat([nonce, body, cipher.getAuthTag()]).toString("base64url");
}

function decrypt(key: Uint8Array, sealed: string, bound: string): Buffer {
  const bytes = Buffer.from(sealed, "base64url");
  if (bytes.length < NONCE + TAG) throw new Unopenable("It is no sealed text.");
  const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE), { authTagLength: TAG });
  decipher.setAAD(Buffer.from(bound));
  decipher.setAuthTag(bytes.subarray(-TAG));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(NONCE, -TAG)), decipher.final()]);
  } catch {
    throw new Unopenable("It was sealed for something else, or altered.");
  }
}
