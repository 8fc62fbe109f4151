import { isOperator } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import type { Verification, VerifyReply, VerifyRequest } from "../contract/verification.ts";
import type { Archiver } from "./archiver.ts";
import type { Door } from "./door.ts";
import type { Store } from "./store.ts";
import { verifyJournal, verifyTombstone } from "./verifying.ts";

export interface AuditOptions {
  door: Door;
  store: Store;
  archiver: Archiver;
}

/** Whether what is stored of an instance is what was written: it is looked at, and nothing is written. */
export class Audit {
  readonly #options: AuditOptions;

  constructor(options: AuditOptions) {
    this.#options = options;
  }

  verify(request: VerifyRequest): Promise<VerifyReply> {
    const { door, store, archiver } = this.#options;
    return door.later(request.caller, async () => {
      door.checkAddress(request);
      if (!isOperator(request.caller)) throw refusal("forbidden", '"verify" is for operators.');
      const { listed } = request;
      const reply = (found: Verification) => ({ ok: true as const, json: JSON.stringify(found) });
      const tombstone = store.tombstones.read();
      if (tombstone !== null) return reply(verifyTombstone(store, tombstone, listed));
      // Not by way of the live state: what can't be loaded is looked at all the same.
      door.identity(request);
      return reply(
        await verifyJournal(store, (identity, part) => archiver.part(identity, part), listed),
      );
    });
  }
}
