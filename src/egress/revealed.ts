import type { Live } from "../instance/live.ts";
import type { SecretKeeper } from "../instance/secret-keeper.ts";
import { TerminalError } from "../kernel/terminal-error.ts";
import { ProblemError } from "../contract/problem.ts";
import { holds, scrubbedError } from "../secrets/scrub.ts";
import { KeyMissing } from "../secrets/vault.ts";

/** What one run of an effect was told, and what must not come back from it. */
export class Revealed {
  readonly #secrets: Pick<SecretKeeper, "reveal">;
  readonly #live: Live;
  readonly #declared: readonly string[];
  readonly #values: string[] = [];
  #lacksKeys = false;

  /** Whether it asked for what the deployment has no key for: that is no failure of the effect's. */
  get lacksKeys(): boolean {
    return this.#lacksKeys;
  }

  /** @param declared the secrets that the effect names */
  constructor(secrets: Pick<SecretKeeper, "reveal">, live: Live, declared: readonly string[] = []) {
    this.#secrets = secrets;
    this.#live = live;
    this.#declared = declared;
  }

  /** @throws TerminalError where the effect doesn't declare that secret, or there is none */
  secret(effect: string, handle: string): string {
    let found: ReturnType<SecretKeeper["reveal"]>;
    try {
      found = this.#secrets.reveal(this.#live.identity, handle);
    } catch (error) {
      // Keys may come back: then another try finds them.
      this.#lacksKeys = error instanceof KeyMissing || error instanceof ProblemError;
      throw new Error(`A secret can't be opened: ${(error as Error).message}`, { cause: error });
    }
    if (found === null) throw new TerminalError(`"${effect}" asks for a secret that is not there.`);
    const { name, value } = found;
    if (!this.#declared.includes(name)) {
      throw new TerminalError(
        `"${effect}" doesn't declare the secret "${name}": name it in its secrets.`,
      );
    }
    this.#values.push(value);
    return value;
  }

  /** @throws TerminalError where an output holds what the effect was told: it would be stored */
  checked<Output>(effect: string, output: Output): Output {
    if (this.#values.length === 0 || !holds(JSON.stringify(output) ?? "", this.#values)) {
      return output;
    }
    throw new TerminalError(`The output of "${effect}" holds a secret: it is not stored.`);
  }

  /** @throws TerminalError where a message holds what the effect was told, and is stored before it leaves */
  checkKept(to: unknown, data: unknown): void {
    if (this.#values.length === 0 || !holds(JSON.stringify(data) ?? "", this.#values)) return;
    throw new TerminalError(
      `What is published to "${String(to)}" is stored until it is delivered, and holds a secret.`,
    );
  }

  /** What was thrown, without what the effect was told. */
  scrubbed(thrown: unknown): unknown {
    return scrubbedError(thrown, this.#values);
  }
}
