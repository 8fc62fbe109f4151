import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { importJWK, SignJWT, type JWK } from "jose";
import { vi } from "vitest";
import type { ServerFrame } from "../../services/chat/frames.ts";
import type { ChatCalls, ChatMessage } from "../../services/contracts/chat.ts";
import { nameOf } from "../../src/contract/address.ts";
import type { Caller } from "../../src/contract/caller.ts";
import type { Problem } from "../../src/contract/problem.ts";
import { eventually } from "../support/eventually.ts";

/** The service as the gateway calls it. */
export const { Chat: chat } = exports as unknown as {
  Chat: ChatCalls & { fetch(request: Request): Promise<Response> };
};

const tenant = "tropical";
export const carla: Caller = { tenant, subject: "carla", roles: ["customer"] };
export const staff: Caller = { tenant, subject: "sam", roles: ["service"] };
export const courier: Caller = { tenant, subject: "cora", roles: ["courier"] };

let counter = 0;
/** An order of carla's. */
export const freshOrder = () => `tropical.carla.${(counter += 1)}-${crypto.randomUUID()}`;

export async function bearer(caller: Caller, lifetime = 86_400): Promise<string> {
  const jwk = JSON.parse(env.TEST_SIGNING_KEY) as JWK;
  const { subject, ...claims } = caller;
  const token = await new SignJWT({ ...claims })
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: "test" })
    .setSubject(subject)
    .setIssuer(env.TOKEN_ISSUER)
    .setAudience(env.TOKEN_AUDIENCE)
    .setExpirationTime(Math.floor(Date.now() / 1_000) + lifetime)
    .sign(await importJWK(jwk, "EdDSA"));
  return `Bearer ${token}`;
}

export interface Answer {
  status: number;
  headers: Headers;
  body: Partial<Problem & ChatMessage> & Record<string, unknown>;
}

export async function call(
  method: string,
  path: string,
  { as = carla, body, headers = {} }: { as?: Caller | null; body?: unknown; headers?: object } = {},
): Promise<Answer> {
  const response = await chat.fetch(
    new Request(`https://chat.test${path}`, {
      method,
      headers: {
        ...(as === null ? {} : { Authorization: await bearer(as) }),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    }),
  );
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text === "" ? {} : JSON.parse(text)) as Answer["body"],
  };
}

export const say = (order: string, id: string, text = id, as = carla) =>
  call("POST", `/orders/${order}/messages`, { as, body: { id, text } });

/** Many messages at one go, past the limits of pace: by the room's own store. */
export async function fill(order: string, count: number, text?: string): Promise<void> {
  await say(order, "first");
  await runInDurableObject(roomOf(order), (_room, { storage }) => {
    storage.sql.exec(
      `WITH RECURSIVE n(seq) AS (SELECT 2 UNION ALL SELECT seq + 1 FROM n WHERE seq < ?)
         INSERT INTO messages SELECT seq, 'm' || seq, 'carla', 'customer', coalesce(?, 'text ' || seq), 0
           FROM n`,
      ...[count, text ?? null],
    );
  });
}

/** The whole history, page by page. */
export async function historyOf(order: string, as = carla): Promise<ChatMessage[]> {
  const all: ChatMessage[] = [];
  for (;;) {
    const path = `/orders/${order}/messages?after=${all.at(-1)?.seq ?? 0}&limit=500`;
    const { status, body } = await call("GET", path, { as });
    if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`);
    const page = body["messages"] as ChatMessage[];
    all.push(...page);
    if (page.length === 0 || page.at(-1)!.seq === body["last"]) return all;
  }
}

export const roomOf = (order: string, whose = tenant) =>
  env.ROOMS.getByName(nameOf(whose, "orders", order));

/** Lets so many milliseconds pass, for whoever asks for the date, and rings the room's alarm. */
export async function ringAfter(order: string, milliseconds: number): Promise<boolean> {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + milliseconds);
  return runDurableObjectAlarm(roomOf(order));
}

export const inD1 = async (order: string) =>
  (
    await env.CHAT_DB.prepare(
      `SELECT seq, id, subject, part, text FROM messages WHERE "order" = ? ORDER BY seq`,
    )
      .bind(`orders/${order}`)
      .all<{ seq: number; id: string; subject: string; part: string; text: string }>()
  ).results;

/** The rows that the room itself keeps of messages; null where it has no table for them. */
export const inRoom = (order: string) =>
  runInDurableObject(roomOf(order), (_room, { storage }) => {
    const { sql } = storage;
    const tables = sql
      .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'")
      .toArray()
      .map(({ name }) => name)
      .filter((name) => !name.startsWith("_"));
    if (!tables.includes("messages")) return { tables, messages: null };
    const query = "SELECT count(*) AS count FROM messages";
    return { tables, messages: sql.exec<{ count: number }>(query).one().count };
  });

/** D1 fails, until it is mended. */
export async function breakD1(): Promise<() => Promise<void>> {
  await env.CHAT_DB.exec("ALTER TABLE messages RENAME TO away");
  return async () => {
    await env.CHAT_DB.exec("ALTER TABLE away RENAME TO messages");
  };
}

/** Somebody with the room open. */
export class Talker {
  readonly frames: ServerFrame[] = [];
  closed: { code: number; reason: string } | null = null;
  readonly protocol: string | null;
  readonly #socket: WebSocket;

  private constructor(response: Response, confirms: boolean) {
    this.#socket = response.webSocket!;
    this.protocol = response.headers.get("sec-websocket-protocol");
    this.#socket.addEventListener("message", ({ data }) => {
      const frame = JSON.parse(data as string) as ServerFrame;
      this.frames.push(frame);
      if (frame.type === "confirm" && confirms) this.send(frame);
    });
    this.#socket.addEventListener("close", ({ code, reason }) => {
      this.closed = { code, reason };
    });
    this.#socket.accept();
  }

  static async open(
    order: string,
    {
      as = carla,
      query = "",
      headers = {},
      lifetime = 86_400,
      confirms = true,
    }: {
      as?: Caller | null;
      query?: string;
      headers?: object;
      /** Of the token, in seconds. */
      lifetime?: number;
      /** Whether it says how far it has read. */
      confirms?: boolean;
    } = {},
  ): Promise<Talker> {
    const response = await chat.fetch(
      new Request(`https://chat.test/orders/${order}/stream?${query}`, {
        headers: {
          Upgrade: "websocket",
          ...(as === null ? {} : { Authorization: await bearer(as, lifetime) }),
          ...headers,
        },
      }),
    );
    if (response.webSocket === null) throw new Error(`${response.status} ${await response.text()}`);
    return new Talker(response, confirms);
  }

  of<Type extends ServerFrame["type"]>(type: Type) {
    return this.frames.filter((frame): frame is Extract<ServerFrame, { type: Type }> => {
      return frame.type === type;
    });
  }

  get messages(): ChatMessage[] {
    return this.of("message").map(({ message }) => message);
  }

  get seqs(): number[] {
    return this.messages.map(({ seq }) => seq);
  }

  /** Who was there as it was last told. */
  get present(): string[] {
    return (this.of("presence").at(-1)?.present ?? []).map(
      ({ subject, part }) => `${subject} (${part})`,
    );
  }

  send(frame: object | string | ArrayBuffer): void {
    const isRaw = typeof frame === "string" || frame instanceof ArrayBuffer;
    this.#socket.send(isRaw ? frame : JSON.stringify(frame));
  }

  say(id: string, text = id): void {
    this.send({ type: "say", id, text });
  }

  close(): void {
    this.#socket.close(1000, "bye");
  }

  until(isThere: (talker: this) => boolean): Promise<unknown> {
    return eventually(
      () => isThere(this),
      (is) => is,
    );
  }
}
