import { envelopeOf } from "../cloudevents/outgoing.ts";
import type { Envelope } from "../contract/envelope.ts";
import type { Message } from "../contract/message.ts";
import { isPassing, type Problem } from "../contract/problem.ts";
import { TerminalError } from "../kernel/terminal-error.ts";

/** How messages leave: a queue, an exchange, a webhook, a service binding. */
export interface Transport {
  /**
   * Resolves when the other side has the message for sure; it may then have it more than once.
   *
   * @throws TerminalError where trying again can't help; anything else is tried again
   */
  send(message: Message, signal?: AbortSignal): Promise<void>;
  /** Whether it stores messages until they are delivered: then they may hold no secret. */
  keeps?: boolean;
}

/** Made of the Worker's bindings, at each use. */
export type TransportOf<Env> = (env: Env) => Transport;

/** What the deployment's workflows name when they publish → how it gets there. */
export type Transports<Env = never> = Readonly<Record<string, TransportOf<Env>>>;

/** A Cloudflare queue, by its binding. It has taken a message when it says so. */
export function toQueue(binding: string): TransportOf<unknown> {
  return (env) => {
    const queue = (env as Record<string, Queue | undefined>)[binding];
    if (queue === undefined) throw new Error(`The queue ${binding} is not bound.`);
    return queueTransport(queue);
  };
}

export function queueTransport(queue: Queue): Transport {
  return {
    send: async (message) => {
      await queue.send(envelopeOf(message), { contentType: "json" });
    },
  };
}

/** What another Worker offers by service binding: `deliver` of a `WorkerEntrypoint`. */
export interface Recipient {
  /** @returns the problem that it met, or null when it is safe there */
  deliver(envelope: Envelope): Promise<Problem | null>;
}

/**
 * Another Worker, by its binding: it has taken a message when its `deliver` says null. A binding can only be
 * made in the account's own configuration, so the envelope may name the tenant.
 */
export function toService(binding: string): TransportOf<unknown> {
  return (env) => {
    const recipient = (env as Record<string, Recipient | undefined>)[binding];
    if (recipient === undefined) throw new Error(`The service ${binding} is not bound.`);
    return {
      send: async (message) => {
        const problem = await recipient.deliver(envelopeOf(message));
        if (problem === null) return;
        const said = `${binding} says: ${problem.detail}`;
        throw isPassing(problem) ? new Error(said) : new TerminalError(said);
      },
    };
  };
}

/** @throws TerminalError where there is none of this name */
export function transportNamed(transports: Transports, name: string, env: unknown): Transport {
  if (Object.hasOwn(transports, name)) return transports[name]!(env as never);
  const known = Object.keys(transports).join(", ") || "none";
  throw new TerminalError(
    `There is no transport "${name}": durachart({ transports }) has ${known}`,
  );
}
