import { canonical } from "../contract/canonical.ts";
import type { JournalRow } from "../instance/store.ts";
import { momentAfter, type Moment } from "../kernel/moment.ts";
import type { Timer } from "../kernel/timers.ts";

/** An instance that is held, as its state row says so. */
interface Held {
  at: number;
  by: string;
}

/** Puts the state together from the journal, and compares what is stored with it. */
export class Replay {
  /** Null before the first entry; undefined where nobody knows. */
  #moment: Moment | null | undefined;
  #held: Held | null | undefined;
  #version: string | undefined;

  /** @param isFirst whether what comes is the first of the history */
  constructor(isFirst = true) {
    this.#moment = isFirst ? null : undefined;
  }

  /** Goes on by entries that follow each other. */
  add(rows: readonly JournalRow[]): void {
    try {
      for (const row of rows) this.#note(row);
      if (this.#moment === undefined || rows.length === 0) return;
      this.#moment = momentAfter(this.#moment, rows) ?? undefined;
    } catch {
      // An entry is no JSON: whoever follows the seals says so.
      this.lose();
    }
  }

  /** An entry is wrong: what follows from it is no evidence. */
  lose(): void {
    this.#moment = undefined;
    this.#held = undefined;
    this.#version = undefined;
  }

  /** From here on it is told by what is kept whole, where nothing else is known. */
  adopt(moment: Moment): void {
    if (this.#moment === undefined || this.#moment === null) this.#moment = moment;
  }

  /** @returns what differs; empty where nothing does, or nobody knows */
  differences(stored: Moment): string[] {
    if (this.#moment === undefined || this.#moment === null) return [];
    return differencesBetween(this.#moment, stored);
  }

  /** As `differences`, of what stands beside the state. */
  differencesBeside(stored: { paused: Held | null; version: string }): string[] {
    const found: string[] = [];
    if (this.#held !== undefined && canonical(this.#held) !== canonical(stored.paused)) {
      found.push("paused");
    }
    if (this.#version !== undefined && this.#version !== stored.version) found.push("version");
    return found;
  }

  #note({ type, at, by, data }: JournalRow): void {
    switch (type) {
      case "durachart.paused":
        this.#held = { at, by };
        break;
      case "durachart.started":
      case "durachart.resumed":
      case "durachart.terminated":
        this.#held = null;
        break;
      case "durachart.migrated":
      case "durachart.rewound":
      case "durachart.retried": {
        const { from, to, version } = JSON.parse(data ?? "{}") as Record<string, unknown>;
        const next = type === "durachart.migrated" ? to : version;
        if (from !== undefined && typeof next === "string") this.#version = next;
        break;
      }
      default:
    }
  }
}

function differencesBetween(told: Moment, stored: Moment): string[] {
  const found: string[] = [];
  const compare = (what: string, a: unknown, b: unknown): void => {
    if (canonical(a) !== canonical(b)) found.push(what);
  };
  const { context: was, ...machine } = told.machine;
  const { context: is, ...storedMachine } = stored.machine;
  for (const key of new Set([...Object.keys(was), ...Object.keys(is)])) {
    compare(`context.${key}`, [was[key]], [is[key]]);
  }
  for (const key of new Set([...Object.keys(machine), ...Object.keys(storedMachine)])) {
    type Key = keyof typeof machine;
    compare(key, [machine[key as Key]], [storedMachine[key as Key]]);
  }
  compare("actors", inOrder(told.actors), inOrder(stored.actors));
  compare("timers", inOrder(told.timers).map(asSet), inOrder(stored.timers).map(asSet));
  return found;
}

function inOrder<Item extends { key: number }>(items: readonly Item[]): Item[] {
  return items.toSorted((a, b) => a.key - b.key);
}

/** As it was set: what is known of its tries stands in no entry. */
function asSet({ failures: _, retryAt: __, error: ___, ...timer }: Timer): object {
  return timer;
}
