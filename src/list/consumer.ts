import { log } from "../contract/log.ts";
import * as v from "valibot";
import { databaseOf } from "../contract/databases.ts";
import { problem, type Problem } from "../contract/problem.ts";
import { findRealm, jurisdictions } from "../contract/realm.ts";
import type { Projection } from "../contract/projection.ts";
import { write } from "./write.ts";

const text = (most: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(most));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const attribute = v.union([v.pipe(v.string(), v.maxLength(1_000)), v.number(), v.boolean()]);

/** Small enough that a hundred of them are one statement. */
const projection = v.object({
  object: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  tenant: v.pipe(
    v.string(),
    v.check((tenant) => findRealm({ tenant }) !== null, "names nobody"),
  ),
  workflow: text(100),
  // Of an erased instance the list is not even told these.
  id: v.pipe(v.string(), v.maxLength(1_000)),
  jurisdiction: v.nullable(v.picklist(jurisdictions)),
  epoch: whole,
  seq: whole,
  head: v.optional(v.nullable(text(100)), null),
  revision: whole,
  version: v.pipe(v.string(), v.maxLength(1_000)),
  status: text(100),
  state: v.pipe(
    v.unknown(),
    v.check((state) => JSON.stringify(state ?? null).length <= 65_536, "is too large"),
  ),
  states: v.pipe(v.array(text(1_000)), v.maxLength(200)),
  attributes: v.pipe(
    v.record(text(100), attribute),
    v.check((attributes) => Object.keys(attributes).length <= 50, "are too many"),
  ),
  incidents: v.pipe(
    v.array(
      v.object({
        id: v.optional(text(1_000)),
        ...{ kind: text(100), what: v.string(), error: v.string(), mend: v.string() },
      }),
    ),
    v.maxLength(50),
  ),
  due: v.nullable(whole),
  createdAt: whole,
  updatedAt: whole,
});

/** Whether a message is meant for the list, well-formed or not. */
export function isForTheList(body: unknown): boolean {
  return typeof body === "object" && body !== null && "object" in body && "revision" in body;
}

export interface ConsumerOptions {
  databases: readonly D1Database[];
  /** Seconds until a message is tried again. */
  retryDelay: (attempts: number) => number;
  /** Takes what can never be written. */
  bury: (message: Message, reason: Problem) => Promise<void>;
}

/**
 * Writes a batch, each tenant's to its database, with one statement a database. A message is
 * acknowledged once it is written, and by itself.
 *
 * @returns whether any tells of incidents
 */
export async function takeProjections(
  messages: readonly Message[],
  { databases, retryDelay, bury }: ConsumerOptions,
): Promise<{ hasIncidents: boolean }> {
  const readable: Read[] = [];
  for (const message of messages) {
    const { tenant } = (message.body ?? {}) as { tenant?: unknown };
    // Whose it is stays as it came: one tenant's name must not become another's.
    const read = v.safeParse(projection, { ...(asStorableText(message.body) as object), tenant });
    if (read.success) {
      readable.push({ message, projection: read.output as Projection });
      continue;
    }
    const [issue] = read.issues;
    const detail = `${v.getDotPath(issue) ?? "The message"}: ${issue.message}`;
    await bury(message, problem("invalid-body", detail));
  }
  const byDatabase = Map.groupBy(readable, ({ projection: { tenant } }) =>
    databases.length === 0 ? undefined : databaseOf(databases, tenant),
  );
  for (const [database, reads] of byDatabase) {
    const unwritten =
      database === undefined ? reads : await writeAll(database, reads, { left: 10 });
    const failed = new Set(unwritten);
    for (const read of reads) {
      const { message } = read;
      if (failed.has(read)) message.retry({ delaySeconds: retryDelay(message.attempts) });
      else message.ack();
    }
  }
  return { hasIncidents: readable.some(({ projection }) => projection.incidents.length > 0) };
}

interface Read {
  message: Message;
  projection: Projection;
}

/**
 * Where the statement fails, its halves are tried: one that can't be written doesn't take the others
 * along. A database that is down has failed often enough after ten.
 *
 * @returns what was not written
 */
async function writeAll(
  database: D1Database,
  reads: readonly Read[],
  failures: { left: number },
): Promise<Read[]> {
  if (failures.left === 0) return [...reads];
  try {
    const projections = reads.map(({ projection }) => projection);
    await write(database, projections);
    return [];
  } catch (error) {
    log.error("The list could not be written", { error });
    failures.left -= 1;
    if (reads.length === 1) return [...reads];
    const half = Math.ceil(reads.length / 2);
    return [
      ...(await writeAll(database, reads.slice(0, half), failures)),
      ...(await writeAll(database, reads.slice(half), failures)),
    ];
  }
}

/** SQLite's texts end at U+0000, and lone surrogates are no text at all: two labels could become one. */
function asStorableText(body: unknown): unknown {
  if (typeof body === "string") return body.toWellFormed().replaceAll("\0", "\uFFFD");
  if (Array.isArray(body)) return body.map(asStorableText);
  if (typeof body !== "object" || body === null) return body;
  return Object.fromEntries(
    Object.entries(body).map(([key, value]) => [asStorableText(key), asStorableText(value)]),
  );
}
