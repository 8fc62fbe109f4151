import type { AMQPMessage } from "@cloudamqp/amqp-client/amqp-message";
import { Webhook } from "standardwebhooks";
import { problem, ProblemError, type Problem } from "../contract/problem.ts";
import { Consumer } from "./consumer.ts";
import { Link, type LinkOptions } from "./link.ts";
import { envelopeIn } from "./message.ts";

/** Milliseconds that a door may take. */
const DOOR_PATIENCE = 30_000;

/** Milliseconds between two tries to connect, at most. */
const RECONNECT = 5_000;

/** 401 among them: a secret that is wrong is our fault, not the message's. */
const WORTH_TRYING = new Set([401, 404, 408, 409, 425, 429]);

export interface Door {
  /** Where events are posted to: `https://…/events`. */
  to: string;
  /** `whsec_…`, as the receiver's WEBHOOK_SENDERS has it. */
  secret: string;
  /** Whose secret that is: what names another tenant must not go through this door. */
  tenant: string;
}

/** Milliseconds that deliveries under way may take when forwarding ends. */
const FAREWELL = 5_000;

/**
 * Brings what a queue has to a webhook, as signed CloudEvents in structured mode, for Workers that can't
 * reach the broker. It runs beside the broker until it is closed; any number may run.
 *
 * @returns how to end it; what is under way is finished first; what takes longer than FAREWELL is delivered again
 */
export function forward(
  options: Pick<LinkOptions, "url" | "dial" | "topology"> & { queue: string; prefetch: number },
  door: Door,
): { close(): Promise<void> } {
  const { queue, prefetch, ...how } = options;
  const consumer = new Consumer(queue, (message) => post(message, door));
  let isClosed = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const link = new Link({
    ...how,
    name: `durachart forward ${queue}`,
    consumers: [
      {
        queue,
        prefetch,
        take: (...given) => {
          // Left unacknowledged, it is delivered again.
          if (!isClosed) consumer.take(...given);
        },
      },
    ],
    onLost: ({ message }) => {
      if (isClosed) return;
      console.warn(`The connection was lost: ${message}`);
      void connect();
    },
  });
  const connect = async (): Promise<void> => {
    try {
      await link.connected();
      console.log(`Forwarding ${queue} to ${door.to}`);
    } catch (error) {
      console.warn((error as Error).message);
      if (!isClosed) timer = setTimeout(() => void connect(), RECONNECT * Math.random());
    }
  };
  void connect();
  return {
    close: async () => {
      isClosed = true;
      clearTimeout(timer);
      await consumer.finish(FAREWELL);
      await link.close();
    },
  };
}

async function post(message: AMQPMessage, { to, secret, tenant }: Door): Promise<Problem | null> {
  let event: unknown;
  try {
    const envelope = envelopeIn(message, undefined) as { tenant?: unknown; event: unknown };
    if (envelope.tenant !== undefined && envelope.tenant !== tenant) {
      return problem("forbidden", `It is another tenant's; this door is for ${tenant}.`);
    }
    ({ event } = envelope);
  } catch (error) {
    if (error instanceof ProblemError) return error.problem;
    throw error;
  }
  const body = JSON.stringify(event);
  const { source, id } = (event ?? {}) as { source?: unknown; id?: unknown };
  const webhookId = await digest(JSON.stringify([source, id]));
  const now = new Date();
  const response = await fetch(to, {
    method: "POST",
    redirect: "manual",
    signal: AbortSignal.timeout(DOOR_PATIENCE),
    headers: {
      "Content-Type": "application/cloudevents+json",
      "webhook-id": webhookId,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1_000)),
      "webhook-signature": new Webhook(secret).sign(webhookId, now, body),
    },
    body,
  });
  const text = await response.text();
  if (response.ok) return null;
  const detail = `${to} answered ${response.status}: ${text.slice(0, 1_000)}`;
  // What the consumer takes for passing is a matter of the status.
  const { status } = response;
  const isLasting = status >= 400 && status < 500 && !WORTH_TRYING.has(status);
  return { ...problem("internal", detail), status: isLasting ? status : 503 };
}

async function digest(text: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
