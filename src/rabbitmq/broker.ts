import { log } from "../contract/log.ts";
import { DurableObject } from "cloudflare:workers";
import { objectName } from "../contract/address.ts";
import type { DeadLetter } from "../contract/dead-letter.ts";
import type { Message } from "../contract/message.ts";
import { backoff } from "../egress/timing.ts";
import { attempt, openEnvelope, type Deliver } from "../ingress/queue.ts";
import { Consumer, type Handle } from "./consumer.ts";
import type { Publication } from "./connection.ts";
import { Link, type LinkOptions } from "./link.ts";
import { envelopeIn, letterIn, publicationOf, revivedPublication } from "./message.ts";
import { MEMBERS, memberFor, wakeBrokers, type RabbitSettings } from "./pool.ts";
import { dialOverSockets } from "./sockets.ts";
import { DEAD, eventQueuesOf, type Topology } from "./topology.ts";
import { saidBy, within } from "../contract/within.ts";

export interface Consumed<Env> {
  queue: string;
  /** Whose the events are, whatever they say themselves. */
  tenant?: string;
  /** Messages that may be under way at once; 100 by default. */
  prefetch?: number;
  deliver: (env: Env) => Deliver;
}

export interface BrokerOptions<Env> {
  topology: Topology;
  /** Durable Objects of the pool. */
  members?: number;
  consumes: readonly Consumed<Env>[];
  /** Takes a dead letter to where somebody sees it; until it resolves the letter stays with the broker. */
  file?: (env: Env) => (letter: DeadLetter) => Promise<void>;
}

/** What a member publishes: a message to a queue. */
export interface Order {
  to: string;
  message: Message;
}

const PREFETCH = 100;

/** Milliseconds between two looks at the connection, at most. */
const ALARM = 30_000;

/**
 * Milliseconds for connecting and the confirm together. An effect has ten seconds by the shop's policy and
 * five tries, so a broker may be away for most of a minute before a chart hears of it.
 */
const PUBLISH_PATIENCE = 9_000;

/**
 * The class of the Durable Objects that hold the connections to RabbitMQ: bind it as BROKERS. Named
 * "0" to "{members - 1}"; each queue is consumed by one of them.
 */
export function brokerClass<Env>({
  topology,
  members = MEMBERS,
  consumes,
  file,
}: BrokerOptions<Env>) {
  return class Broker extends DurableObject<Env & RabbitSettings> {
    #link: Link | undefined;
    /** When it was last seen that an alarm is set, in milliseconds since the epoch. */
    #armedAt = 0;
    /** Connects that failed, or were lost, one after the other. */
    #failures = 0;

    /**
     * @param json an {@link Order}
     * @throws Error worth trying again, where the broker hasn't confirmed it
     */
    async publish(json: string): Promise<void> {
      const { to, message } = JSON.parse(json) as Order;
      await this.#publish(to, publicationOf(to, message));
    }

    /**
     * What died in a queue once more, into that queue alone.
     *
     * @param json of the dead letter's body
     * @throws Error where there is no such queue, the letter isn't whole, or the broker hasn't confirmed it
     */
    async sendAgain(queue: string, json: string): Promise<void> {
      // The name was read from a message: it must not lead anywhere else.
      if (!eventQueuesOf(topology).includes(queue)) {
        throw new Error(`the topology has no queue "${queue.slice(0, 100)}" of events`);
      }
      await this.#publish(queue, revivedPublication(queue, JSON.parse(json)));
    }

    async #publish(to: string, publication: Publication): Promise<void> {
      await this.#arm();
      const deadline = Date.now() + PUBLISH_PATIENCE;
      const late = `RabbitMQ is away, or slow: it did not take a message to ${to} within ${PUBLISH_PATIENCE / 1_000} s.`;
      const publish = async (): Promise<void> => {
        const connection = await this.#linked().patiently();
        // Whoever asked has been told that it failed: it must not leave behind their back.
        if (Date.now() >= deadline) throw new Error(late);
        await connection.publish(publication);
      };
      await within(publish(), PUBLISH_PATIENCE, late);
    }

    /** Has it connect and consume from now on. */
    async wake(): Promise<void> {
      if (this.env.RABBITMQ_URL === undefined) return;
      await this.#arm();
      this.ctx.waitUntil(this.#check());
    }

    override async alarm(): Promise<void> {
      if (this.env.RABBITMQ_URL === undefined) return;
      // Should what follows die or hang: another comes.
      await this.ctx.storage.setAlarm(Date.now() + ALARM);
      this.#armedAt = Date.now();
      await this.#check();
    }

    async #arm(): Promise<void> {
      if (Date.now() - this.#armedAt < ALARM) return;
      if ((await this.ctx.storage.getAlarm()) === null) {
        await this.ctx.storage.setAlarm(Date.now() + ALARM);
      }
      this.#armedAt = Date.now();
    }

    /** Never throws: the platform drops an alarm that goes on throwing. */
    async #check(): Promise<void> {
      try {
        await this.#linked().check();
        this.#failures = 0;
      } catch (error) {
        log.warn("RabbitMQ can't be reached", { member: this.ctx.id.name, error: saidBy(error) });
        await this.#comeBack();
      }
    }

    /** Tries again soon; where that can't even be noted, the alarm that is set comes in its time. */
    async #comeBack(): Promise<void> {
      this.#failures += 1;
      const soon = Date.now() + backoff(this.#failures, { longest: ALARM });
      try {
        const set = await this.ctx.storage.getAlarm();
        if (set === null || set > soon) await this.ctx.storage.setAlarm(soon);
      } catch (error) {
        log.error("The alarm of a pool member could not be set", { error });
      }
    }

    #linked(): Link {
      const { RABBITMQ_URL: url } = this.env;
      if (url === undefined) throw new Error("RABBITMQ_URL is not set.");
      this.#link ??= new Link({
        url,
        dial: dialOverSockets,
        name: `durachart ${this.ctx.id.name ?? ""}`,
        topology,
        consumers: this.#consumers(),
        onLost: (reason) => {
          log.warn("The connection to RabbitMQ was lost", {
            ...{ member: this.ctx.id.name, error: reason.message },
          });
          this.ctx.waitUntil(this.#comeBack());
        },
      });
      return this.#link;
    }

    /** Each queue belongs to one member, by its place in the list; the dead letters come last. */
    #consumers(): LinkOptions["consumers"] {
      const all: { queue: string; prefetch: number; handle: Handle }[] = consumes.map(
        ({ queue, tenant, prefetch = PREFETCH, deliver }) => ({
          queue,
          prefetch,
          handle: (message) =>
            attempt(() => openEnvelope(envelopeIn(message, tenant), "rabbitmq"), deliver(this.env)),
        }),
      );
      const own = all.filter((_, index) => String(index % members) === this.ctx.id.name);
      const consumers: { queue: string; prefetch: number; take: Consumer["take"] }[] = own.map(
        ({ queue, prefetch, handle }) => {
          const consumer = new Consumer(queue, handle);
          return { queue, prefetch, take: (...given) => consumer.take(...given) };
        },
      );
      if (file !== undefined && String(all.length % members) === this.ctx.id.name) {
        const filing = file(this.env);
        const tenantOf = (name: string): string | undefined =>
          consumes.find(({ queue }) => queue === name)?.tenant;
        const consumer = new Consumer(
          DEAD,
          async (message) => {
            await filing(letterIn(message, tenantOf, Date.now()));
            return null;
          },
          { keep: true },
        );
        consumers.push({
          queue: DEAD,
          prefetch: PREFETCH,
          take: (...given) => consumer.take(...given),
        });
      }
      return consumers;
    }
  };
}

/** By which member a message about this goes. */
export function memberOf({ about }: Message, members: number): number {
  return memberFor(objectName(about), members);
}

interface Handlers<Env> {
  fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response>;
  queue?(batch: MessageBatch, env: Env, context: ExecutionContext): Promise<void>;
  scheduled?(controller: ScheduledController, env: Env, context: ExecutionContext): Promise<void>;
}

/**
 * A Worker's handlers, that wake the pool as well: with the first call of an isolate, whatever it is, and
 * with each cron. So a fresh deployment begins to consume without being told.
 */
export function consuming<Env extends object>(
  app: Handlers<Env>,
  members = MEMBERS,
): Required<Handlers<Env>> {
  let isAwake = false;
  const wake = (env: Env, context: ExecutionContext, isCron = false): void => {
    if (isAwake && !isCron) return;
    isAwake = true;
    context.waitUntil(wakeBrokers(env, members));
  };
  return {
    fetch: (request, env, context) => {
      wake(env, context);
      return app.fetch(request, env, context);
    },
    queue: async (batch, env, context) => {
      wake(env, context);
      await app.queue?.(batch, env, context);
    },
    scheduled: async (controller, env, context) => {
      wake(env, context, true);
      await app.scheduled?.(controller, env, context);
    },
  };
}
