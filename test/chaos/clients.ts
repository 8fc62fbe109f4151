import type { JournalEntry, View } from "../../src/contract/view.ts";
import type { Listed } from "../../src/list/search.ts";
import type { Acknowledged } from "./history.ts";
import type { ListedSeen } from "./listing.ts";
import type { Arrival } from "./mail.ts";

/** What a client needs to reach the instances, whichever process runs them at the moment. */
export interface Target {
  url: () => string;
  token: string;
}

interface ChaosEvent {
  type: "COUNT" | "REMIND" | "WORK";
  data: { key: string; id?: string; delay?: number };
}

/** Sends events one after the other, each until it is answered, and keeps what was acknowledged. */
export class Client {
  readonly acknowledged: Acknowledged[] = [];
  isWaiting = false;
  lostAnswers = 0;
  readonly #target: Target;
  readonly #name: string;
  readonly #instances: readonly string[];
  readonly #random: () => number;
  #sent = 0;

  constructor(target: Target, name: string, instances: readonly string[], random: () => number) {
    this.#target = target;
    this.#name = name;
    this.#instances = instances;
    this.#random = random;
  }

  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const instance = this.#instances[Math.floor(this.#random() * this.#instances.length)]!;
      await this.send(instance, this.#next());
    }
  }

  #next(): ChaosEvent {
    const key = `${this.#name}-${this.#sent++}`;
    const luck = this.#random();
    if (luck < 0.2) {
      const delay = 20 + Math.floor(this.#random() * 1_500);
      return { type: "REMIND", data: { key, id: `timer-${key}`, delay } };
    }
    return { type: luck < 0.3 ? "WORK" : "COUNT", data: { key } };
  }

  /** @returns when it was acknowledged */
  async send(instance: string, event: ChaosEvent): Promise<void> {
    this.isWaiting = true;
    for (;;) {
      const status = await this.#post(instance, event);
      if (status === 200) break;
      if (status !== 503 && status !== 0) throw new Error(`${event.type} was answered ${status}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.isWaiting = false;
    this.acknowledged.push({ instance, type: event.type, key: event.data.key });
  }

  /** 0 where the connection broke: the answer may have been lost, or the event. */
  async #post(instance: string, event: ChaosEvent): Promise<number> {
    try {
      const response = await fetch(`${this.#target.url()}/chaos/${instance}/events`, {
        method: "POST",
        headers: {
          Authorization: `Bearer ${this.#target.token}`,
          "Content-Type": "application/json",
          "Idempotency-Key": event.data.key,
        },
        body: JSON.stringify(event),
      });
      await response.arrayBuffer();
      // Now and then an answer is lost on its way, long after the event was taken.
      if (this.#random() < 0.03) throw new Error("lost");
      return response.status;
    } catch {
      this.lostAnswers += 1;
      return 0;
    }
  }
}

/** Watches one instance, and comes back where it left off whenever its connection breaks. */
export class Watcher {
  readonly instance: string;
  readonly seqs: number[] = [];
  reconnects = -1;
  readonly #target: Target;
  #socket: WebSocket | undefined;
  #isOver = false;

  constructor(target: Target, instance: string) {
    this.#target = target;
    this.instance = instance;
  }

  start(): void {
    if (this.#isOver) return;
    this.reconnects += 1;
    const after = this.seqs.at(-1) ?? 0;
    const url = `${this.#target.url().replace("http", "ws")}/chaos/${this.instance}/stream?after=${after}`;
    const options = {
      protocols: ["cloudevents.json"],
      headers: { Authorization: `Bearer ${this.#target.token}` },
    };
    const socket = new WebSocket(url, options as unknown as string[]);
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const event = JSON.parse(String(data)) as { type: string; data: { seq: number } };
      if (event.type === "durachart.confirm") socket.send(`confirm ${event.data.seq}`);
      if (event.type === "durachart.transition") this.seqs.push(event.data.seq);
    });
    socket.addEventListener("error", () => {});
    socket.addEventListener("close", () => setTimeout(() => this.start(), 30));
  }

  stop(): void {
    this.#isOver = true;
    this.#socket?.close();
  }
}

async function get<Body>({ url, token }: Target, path: string): Promise<Body> {
  const headers = { Authorization: `Bearer ${token}` };
  const response = await fetch(`${url()}${path}`, { headers });
  if (!response.ok) throw new Error(`${path} was answered ${response.status}`);
  return (await response.json()) as Body;
}

export function viewOf(target: Target, instance: string): Promise<View> {
  return get(target, `/chaos/${instance}`);
}

export async function journalOf(target: Target, instance: string): Promise<JournalEntry[]> {
  const all: JournalEntry[] = [];
  for (;;) {
    const after = all.at(-1)?.seq ?? 0;
    const path = `/chaos/${instance}/history?limit=1000&after=${after}`;
    const { entries } = await get<{ entries: JournalEntry[] }>(target, path);
    if (entries.length === 0) return all;
    all.push(...entries);
  }
}

/** What one was answered, or undefined where there is none. */
export async function viewIfThere(target: Target, instance: string): Promise<View | undefined> {
  const headers = { Authorization: `Bearer ${target.token}` };
  const response = await fetch(`${target.url()}/chaos/${instance}`, { headers });
  if (response.status === 404) return undefined;
  return (await response.json()) as View;
}

/** All that the list has, page by page, and its counts. */
export async function listOf({
  url,
  token,
}: Target): Promise<Pick<ListedSeen, "listed" | "counts">> {
  const listed: Listed[] = [];
  let counts: ListedSeen["counts"] = { status: {}, state: {} };
  let path: string | undefined = "/chaos?limit=100&counts=true";
  while (path !== undefined) {
    const headers = { Authorization: `Bearer ${token}` };
    const response: Response = await fetch(url() + path, { headers });
    const page = (await response.json()) as { instances: Listed[]; counts: typeof counts };
    listed.push(...page.instances);
    counts = page.counts;
    path = /<(.*)>/.exec(response.headers.get("Link") ?? "")?.[1];
  }
  return { listed, counts };
}

export async function mailOf({ url }: Target): Promise<{ arrivals: Arrival[]; left: number }> {
  const response = await fetch(`${url()}/mail`);
  return (await response.json()) as { arrivals: Arrival[]; left: number };
}

export async function startInstance({ url, token }: Target, instance: string): Promise<void> {
  const response = await fetch(`${url()}/chaos`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ id: instance }),
  });
  if (!response.ok) throw new Error(`The start was answered ${response.status}`);
}
