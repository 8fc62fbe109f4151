import { createHmac, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import type { Address } from "../contract/address.ts";
import type { JournalRow } from "../instance/store.ts";
import type { JournalKeys } from "./keys.ts";

/** What became of checking a seal. */
export type Checked = "good" | "bad" | "unknown-key";

/** Who an instance is, and who started it. */
export type Sealed = Address & { startedBy?: string | null };

/**
 * Seals entries of one instance's journal, each with the one before it: HMAC-SHA256 (RFC 2104) over the
 * seal before, the instance's epoch and every column as it is stored. A seal is `{key's name}.{base64url}`.
 * The deployment's key signs nothing itself: each instance has its own, by HKDF (RFC 5869), so that no
 * entry of another one fits.
 */
export class Seal {
  readonly #keys: JournalKeys;
  readonly #info: string;
  readonly #startedBy: string | null;
  readonly #derived = new Map<string, KeyObject>();

  constructor(keys: JournalKeys, { tenant, workflow, id, startedBy = null }: Sealed) {
    this.#keys = keys;
    this.#startedBy = startedBy;
    this.#info = `durachart journal 1 ${texts([tenant, workflow, id])}`;
  }

  /**
   * @param row its `changes` without a seal
   * @param before the seal of the entry before; null where the chain begins
   */
  entry(epoch: number, row: JournalRow, before: string | null): string {
    return this.#sign(this.#keys.current, this.#entryText(epoch, row, before));
  }

  checkEntry(epoch: number, row: JournalRow, before: string | null, seal: string): Checked {
    return this.#check(seal, this.#entryText(epoch, row, before));
  }

  /** What is no entry: the tombstone. @param what tells it from entries, and from all else that is signed */
  fields(what: string, fields: readonly (string | number | null)[]): string {
    return this.#sign(this.#keys.current, fieldsText(what, fields));
  }

  checkFields(what: string, fields: readonly (string | number | null)[], seal: string): Checked {
    return this.#check(seal, fieldsText(what, fields));
  }

  /** Whose it is goes into each: an instance that was given to somebody else has no good one. */
  #entryText(epoch: number, row: JournalRow, before: string | null): string {
    const { seq, at, type, data, outcome, by, state, changes } = row;
    const what = [before, this.#startedBy, type, data, outcome, by, state, changes];
    return `entry ${epoch} ${seq} ${at} ${texts(what)}`;
  }

  #check(seal: string, text: string): Checked {
    const name = seal.slice(0, Math.max(0, seal.indexOf(".")));
    if (!this.#keys.keys.has(name)) return "unknown-key";
    return this.#sign(name, text) === seal ? "good" : "bad";
  }

  #sign(name: string, text: string): string {
    let key = this.#derived.get(name);
    if (key === undefined) {
      const master = this.#keys.keys.get(name)!;
      const bytes = hkdfSync("sha256", master, new Uint8Array(), this.#info, 32);
      key = createSecretKey(new Uint8Array(bytes));
      this.#derived.set(name, key);
    }
    return `${name}.${createHmac("sha256", key).update(`${name} ${text}`).digest("base64url")}`;
  }
}

function fieldsText(what: string, fields: readonly (string | number | null)[]): string {
  return `${what} ${texts(fields.map((field) => (typeof field === "number" ? String(field) : field)))}`;
}

/** With their lengths, so that no two lists of texts give the same one. */
function texts(list: readonly (string | null)[]): string {
  let joined = "";
  for (const one of list) {
    if (one === null) joined += "-";
    // Nothing that was sealed: somebody has put a blob into the column.
    else if (typeof one !== "string") joined += "!";
    else {
      // What is no text is stored as another: the one that is read back is sealed.
      const text = one.toWellFormed();
      joined += `${text.length}:${text}`;
    }
  }
  return joined;
}

/** The seal is the last member of an entry's `changes`: older deployments write journals of eight columns. */
export function withSeal(changes: string, seal: string): string {
  return `${changes === "{}" ? "{" : `${changes.slice(0, -1)},`}"seal":"${seal}"}`;
}

/** In a JSON text, a quote within a string has a backslash before it: only a member of the outermost object fits. */
const SEAL = /,?"seal":"([^"\\]*)"\}$/;

/** What `withSeal` has put together, taken apart. */
export function splitSeal(changes: string): { changes: string; seal: string | null } {
  // Somebody may have put a blob there.
  const found = typeof changes === "string" ? SEAL.exec(changes) : null;
  if (found === null) return { changes, seal: null };
  return { changes: `${changes.slice(0, found.index)}}`, seal: found[1]! };
}
