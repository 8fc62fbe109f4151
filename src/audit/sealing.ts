import type { JournalKeys } from "./keys.ts";
import { Seal, type Sealed } from "./seal.ts";

/** What an instance's journal is sealed with, found out when it is first needed. */
export class Sealing {
  readonly #keys: () => JournalKeys | null;
  #known: { of: Sealed; seal: Seal | null } | undefined;

  /** @param keys as `journalKeys` gives them */
  constructor(keys: () => JournalKeys | null = () => null) {
    this.#keys = keys;
  }

  /** @throws ProblemError not-configured where the keys are there and can't be read */
  check(): void {
    this.#keys();
  }

  /** Null where there are no keys. @throws as `check` does */
  of(address: Sealed): Seal | null {
    const { of } = this.#known ?? {};
    const { tenant, workflow, id } = address;
    if (of?.id !== id || of.workflow !== workflow || of.tenant !== tenant) {
      const keys = this.#keys();
      this.#known = { of: address, seal: keys === null ? null : new Seal(keys, address) };
    }
    return this.#known!.seal;
  }
}
