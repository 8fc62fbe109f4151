import { keyringOf, type Keyring } from "../contract/keyring.ts";
import { refusal } from "../contract/problem.ts";
import type { WebhookScope } from "../contract/webhooks.ts";
import { saidBy } from "../contract/within.ts";
import { isSealed, Vault } from "../secrets/vault.ts";
import type { EndpointTable } from "./endpoints.ts";

/** In the place of a workflow: none is called so, since it is no name. */
const WHERE = "/webhooks";
const NAME = "signing key";

/**
 * Seals what endpoints sign with, so that nobody reads it from the object's file: by `SECRETS_KEYS`, bound
 * to the tenant and the endpoint. What stands there as it is was written before there were seals.
 */
export class SealedKeys {
  readonly #env: unknown;

  /** @param env read anew at each use */
  constructor(env: unknown) {
    this.#env = env;
  }

  /** @throws ProblemError not-configured where there are no `SECRETS_KEYS`, or they are malformed */
  seal(scope: WebhookScope, endpoint: string, key: string): string {
    return this.#vault(scope, endpoint, this.#keys()).seal(NAME, key);
  }

  /** @throws Unopenable; ProblemError as `seal` does, where it is sealed */
  open(scope: WebhookScope, endpoint: string, stored: string): string {
    if (!isSealed(stored)) return stored;
    return this.#vault(scope, endpoint, this.#keys()).open(NAME, stored);
  }

  /**
   * Seals what was written before there were seals, and wraps the rest by the current key. Of each row by
   * itself: one that can't be opened keeps no other from it, and stays as it is.
   *
   * @throws AggregateError of what could not be sealed
   */
  resealAll(endpoints: EndpointTable): void {
    const scope = endpoints.owner();
    const errors: unknown[] = [];
    for (const key of endpoints.allKeys()) {
      try {
        const vault = this.#vault(scope, key.endpoint, this.#keys());
        const sealed = isSealed(key.stored)
          ? vault.rewrapped(NAME, key.stored)
          : vault.seal(NAME, key.stored);
        if (sealed !== null) endpoints.reseal(key, sealed);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length === 0) return;
    const [first] = errors;
    throw new AggregateError(errors, `${errors.length} keys are as they were: ${saidBy(first)}`);
  }

  #keys(): Keyring {
    const keys = keyringOf(this.#env, "SECRETS_KEYS");
    if (keys !== null) return keys;
    throw refusal(
      "not-configured",
      "The deployment has no SECRETS_KEYS to seal the keys of webhook endpoints with: nothing was done. Set it (docs/operations.md).",
    );
  }

  #vault({ tenant }: WebhookScope, endpoint: string, keys: Keyring): Vault {
    return new Vault(keys, { tenant, workflow: WHERE, id: endpoint });
  }
}
