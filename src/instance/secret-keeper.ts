import type { Address } from "../contract/address.ts";
import { keyringOf } from "../contract/keyring.ts";
import { ProblemError, refusal } from "../contract/problem.ts";
import type { IncomingEvent, StartRequest } from "../contract/requests.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { secretPaths, withFields } from "../secrets/fields.ts";
import { scrubbedProblem } from "../secrets/scrub.ts";
import { Unopenable, Vault } from "../secrets/vault.ts";
import type { Tables } from "./tables.ts";

/** A secret as it is stored. */
interface SecretRow {
  handle: string;
  /** `{event type}.{path}` */
  name: string;
  sealed: string;
}

/** An event whose secrets were taken out. */
export interface Taken {
  event: IncomingEvent;
  /** As it would have been before a rotation of keys, too: what a repeat is compared with. */
  forms: IncomingEvent[];
  /** Stores what was taken out. Must run in the transaction that stores the event. */
  keep: () => void;
  /** What was taken out. */
  values: string[];
}

const SCHEMA =
  "CREATE TABLE secrets (handle TEXT PRIMARY KEY, name TEXT NOT NULL, sealed TEXT NOT NULL) WITHOUT ROWID";

/** Takes secrets out of events at the instance's door, keeps them sealed, and gives them to whom they are for. */
export class SecretKeeper {
  readonly #tables: Tables;
  readonly #env: unknown;
  #vault: { of: string; vault: Vault } | undefined;

  constructor(tables: Tables, env: unknown) {
    this.#tables = tables;
    this.#env = env;
  }

  /**
   * An event with handles in the places of its secrets; as it is, where it has none.
   *
   * @throws ProblemError not-configured where it has secret fields and the deployment no keys; invalid-body
   *   where a secret is no text
   */
  take(workflow: RegisteredWorkflow, address: Address, event: IncomingEvent): Taken {
    const paths = secretPaths(workflow, event.type);
    if (paths.length === 0 || event.data === undefined) return untouched(event);
    const vault = this.#vaultOf(address);
    const rows: (SecretRow & { value: string })[] = [];
    const forms: IncomingEvent[] = [];
    const keys = this.#keys().keys.size;
    for (let key = 0; key < keys; key++) {
      const data = withFields(event.type, event.data, paths, ({ name, value }) => {
        if (typeof value !== "string") {
          const field = `data${name.slice(event.type.length)}`;
          throw refusal("invalid-body", `${field} is secret, and must be a string.`, { field });
        }
        const handle = vault.handles(name, value)[key]!;
        if (key === 0)
          rows.push({ handle, name, value, sealed: vault.seal(boundTo(name, handle), value) });
        return handle;
      });
      forms.push({ ...event, data });
    }
    return {
      ...{ event: forms[0]!, forms, values: rows.map(({ value }) => value) },
      keep: () => {
        for (const row of rows) this.#insert(row);
      },
    };
  }

  /** A start whose event was taken apart, and whose fingerprint nobody can guess a secret from. */
  admit(workflow: RegisteredWorkflow | undefined, request: StartRequest) {
    const { event, address, fingerprint } = request;
    const isPlain =
      workflow === undefined ||
      event === undefined ||
      secretPaths(workflow, event.type).length === 0;
    if (isPlain) return { request, keep: () => {} };
    const taken = this.take(workflow, address, event);
    const prints = this.#vaultOf(address).blinded(fingerprint);
    const known = this.#knownPrint(prints);
    return { request: { ...request, event: taken.event, fingerprint: known }, keep: taken.keep };
  }

  /** @throws ProblemError not-configured where events of this type have secrets, and there are no keys */
  check(workflow: RegisteredWorkflow, type: string): void {
    if (secretPaths(workflow, type).length > 0) this.#keys();
  }

  /**
   * An event that was kept, as it came.
   *
   * @throws ProblemError invalid-body where a secret can't be opened; not-configured
   */
  restore(workflow: RegisteredWorkflow, address: Address, event: IncomingEvent): IncomingEvent {
    const paths = secretPaths(workflow, event.type);
    if (paths.length === 0 || event.data === undefined) return event;
    const data = withFields(event.type, event.data, paths, ({ name, value }) => {
      if (typeof value !== "string") return value;
      try {
        return this.#open(address, value)?.value ?? value;
      } catch (error) {
        if (!(error instanceof Unopenable)) throw error;
        throw refusal("invalid-body", `What it had as ${name} can't be opened: ${error.message}`);
      }
    });
    return { ...event, data };
  }

  /** What a handle stands for; null where nothing does. @throws Unopenable */
  reveal(address: Address, handle: string): { name: string; value: string } | null {
    return this.#open(address, handle);
  }

  /** Has all that is kept wrapped by the current key. What can't be opened stays as it is. */
  rewrap(address: Address): void {
    if (!this.#tables.has("secrets")) return;
    const vault = this.#vaultOf(address);
    for (const { handle, name, sealed } of this.#rows()) {
      const again = tried(() => vault.rewrapped(boundTo(name, handle), sealed));
      if (again === null) continue;
      this.#tables.sql.exec("UPDATE secrets SET sealed = ? WHERE handle = ?", again, handle);
    }
  }

  #open(address: Address, handle: string): { name: string; value: string } | null {
    if (!this.#tables.has("secrets")) return null;
    const [row] = this.#tables.sql
      .exec<SecretRow & Record<string, SqlStorageValue>>(
        "SELECT handle, name, sealed FROM secrets WHERE handle = ?",
        handle,
      )
      .toArray();
    if (row === undefined) return null;
    return {
      name: row.name,
      value: this.#vaultOf(address).open(boundTo(row.name, handle), row.sealed),
    };
  }

  #rows(): SecretRow[] {
    return this.#tables.sql
      .exec<SecretRow & Record<string, SqlStorageValue>>("SELECT handle, name, sealed FROM secrets")
      .toArray();
  }

  #insert({ handle, name, sealed }: SecretRow): void {
    this.#tables.ensure("secrets", SCHEMA);
    this.#tables.sql.exec("INSERT OR IGNORE INTO secrets VALUES (?, ?, ?)", handle, name, sealed);
  }

  /** The one that it was started with, where that was before a rotation. */
  #knownPrint(prints: readonly string[]): string {
    const tables = this.#tables;
    if (!tables.has("identity")) return prints[0]!;
    const { known } = tables.sql
      .exec<{ known: string }>("SELECT start_fingerprint AS known FROM identity")
      .one();
    return prints.includes(known) ? known : prints[0]!;
  }

  #keys() {
    const keys = keyringOf(this.#env, "SECRETS_KEYS");
    if (keys !== null) return keys;
    throw refusal(
      "not-configured",
      "The event has secret fields, and the deployment has no SECRETS_KEYS to seal them with: nothing was done. Set it (docs/operations.md).",
    );
  }

  #vaultOf(address: Address): Vault {
    const { current, keys } = this.#keys();
    const of = JSON.stringify([address.tenant, address.workflow, address.id, current, keys.size]);
    if (this.#vault?.of !== of) this.#vault = { of, vault: new Vault(this.#keys(), address) };
    return this.#vault.vault;
  }
}

/** No sealed text fits another handle's row. */
function boundTo(name: string, handle: string): string {
  return `${name} ${handle}`;
}

function untouched(event: IncomingEvent): Taken {
  return { event, forms: [event], keep: () => {}, values: [] };
}

function tried(act: () => string | null): string | null {
  try {
    return act();
  } catch (error) {
    if (error instanceof Unopenable) return null;
    throw error;
  }
}

/** A problem that tells nothing of the secrets: it may be filed with a dead letter, or logged. */
export function withoutSecrets(error: unknown, values: readonly string[]): unknown {
  if (!(error instanceof ProblemError) || values.length === 0) return error;
  return new ProblemError(scrubbedProblem(error.problem, values));
}
