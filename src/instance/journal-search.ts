import type { JournalledChanges, JournalledEffect } from "../kernel/moment.ts";
import type { ArchivedParts } from "./archived-parts.ts";
import type { Tables } from "./tables.ts";

/** Entries read at once. */
const PAGE = 500;

interface Found {
  seq: number;
  changes: string;
}

/** Keys of messages that going back has taken away: never tried, or perhaps delivered all the same. */
export interface TakenBack {
  withdrawn: number[];
  maybeLeft: number[];
}

/** Looks for something in the history: for operations, which are rare, not for events. */
export class JournalSearch {
  readonly #tables: Tables;
  readonly #archived: ArchivedParts;

  constructor(tables: Tables, archived: ArchivedParts) {
    this.#tables = tables;
    this.#archived = archived;
  }

  /** The entry in which the instance ended in an error. */
  lastFailure(): number | null {
    const [found] = this.#tables.sql
      .exec<{ seq: number }>(
        `SELECT seq FROM journal WHERE changes LIKE '{"status":"error"%' ORDER BY seq DESC LIMIT ?`,
        1,
      )
      .toArray();
    return found?.seq ?? null;
  }

  /** The version that the instance had after an entry, where it has had another since. */
  versionBefore(seq: number): string | null {
    const [found] = this.#tables.sql
      .exec<{ data: string }>(
        `SELECT data FROM journal WHERE seq > ? AND type IN ('durachart.migrated', 'durachart.rewound', 'durachart.retried')
           AND data ->> '$.from' IS NOT NULL ORDER BY seq LIMIT 1`,
        seq,
      )
      .toArray();
    return found === undefined ? null : (JSON.parse(found.data) as { from: string }).from;
  }

  /** What was taken away after an entry. */
  takenBack(seq: number): TakenBack {
    const found = this.#tables.sql
      .exec<{ data: string }>(
        `SELECT data FROM journal WHERE seq > ? AND type IN ('durachart.rewound', 'durachart.retried')
           AND data ->> '$.to' IS NOT NULL`,
        seq,
      )
      .toArray()
      .map(({ data }) => JSON.parse(data) as Partial<TakenBack>);
    return {
      withdrawn: found.flatMap(({ withdrawn = [] }) => withdrawn),
      maybeLeft: found.flatMap(({ maybeLeft = [] }) => maybeLeft),
    };
  }

  /** What was asked for after an entry, oldest first. */
  *effectsAfter(seq: number): Generator<{ seq: number; effect: JournalledEffect }> {
    for (let after = seq; ;) {
      const page = this.#tables.sql
        .exec<Found & Record<string, SqlStorageValue>>(
          `SELECT seq, changes FROM journal WHERE seq > ? AND changes LIKE '%"effects":[[%'
             ORDER BY seq LIMIT ?`,
          after,
          PAGE,
        )
        .toArray();
      for (const found of page) {
        for (const effect of effectsIn(found)) yield { seq: found.seq, effect };
      }
      if (page.length < PAGE) return;
      after = page.at(-1)!.seq;
    }
  }

  /** How the runs with these keys were asked for, up to an entry. */
  runs(keys: ReadonlySet<number>, until: number): Map<number, JournalledEffect> {
    const runs = new Map<number, JournalledEffect>();
    for (let before = until + 1; runs.size < keys.size;) {
      const page = this.#tables.sql
        .exec<Found & Record<string, SqlStorageValue>>(
          `SELECT seq, changes FROM journal WHERE seq < ? AND changes LIKE '%"effects":[[%'
             ORDER BY seq DESC LIMIT ?`,
          before,
          PAGE,
        )
        .toArray();
      for (const found of page) {
        for (const effect of effectsIn(found)) {
          // The last word counts: a migration may have given it another name.
          if (keys.has(effect[0]) && !runs.has(effect[0])) runs.set(effect[0], effect);
        }
      }
      if (page.length < PAGE) break;
      before = page.at(-1)!.seq;
    }
    for (const key of keys) {
      const archived = runs.has(key) ? undefined : this.#archived.run(key);
      if (archived !== undefined) runs.set(key, archived);
    }
    return runs;
  }
}

function effectsIn({ changes }: Found): JournalledEffect[] {
  const { inner } = JSON.parse(changes) as JournalledChanges;
  return inner?.effects ?? [];
}
