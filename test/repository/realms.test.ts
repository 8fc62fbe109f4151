import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Drawer } from "../../src/contract/buckets.ts";
import type { Caller } from "../../src/contract/caller.ts";
import { objectIdIn, objectIn } from "../../src/contract/objects.ts";
import { mine, RealmRows } from "../../src/contract/realm-rows.ts";
import { findRealm, jurisdictions, realmOf, realmOfOwn } from "../../src/contract/realm.ts";

const root = join(import.meta.dirname, "../..");
const files = globSync("{src,services,machines}/**/*.ts", { cwd: root }).toSorted();
const textOf = (file: string): string => readFileSync(join(root, file), "utf8");

/** Files in which an expression stands. */
const having = (expression: RegExp): string[] =>
  files.filter((file) => expression.test(textOf(file)));

describe("storage is reached through a realm: nothing but what is named here", () => {
  it("finds Durable Objects", () => {
    expect(having(/\.(getByName|idFromName|idFromString|newUniqueId)\(/)).toEqual([
      "src/contract/objects.ts",
    ]);
    expect(having(/\.jurisdiction\(/)).toEqual(["src/contract/objects.ts"]);
  });

  it("reaches into buckets", () => {
    expect(having(/R2Bucket\b/)).toEqual(["src/contract/buckets.ts"]);
    expect(having(/bucket\w*\??\.(get|put|list|delete|head|createMultipartUpload)\(/i)).toEqual([
      "src/contract/buckets.ts",
    ]);
  });

  /** File → why it speaks to a database itself. */
  const askers = {
    "services/auth/administration.ts": "the issuer's; each row has its tenant",
    "services/auth/administrators.ts": "the issuer's sessions and keys",
    "services/auth/clients.ts": "accounts are the issuer's; whose they are is in each row",
    "services/auth/confirmations.ts": "accounts are the issuer's; whose they are is in each row",
    "services/auth/people.ts": "accounts are the issuer's; whose they are is in each row",
    "services/auth/published.ts": "the issuer's keys",
    "services/auth/registrations.ts":
      "accounts are the issuer's; whose they are is in each message",
    "services/auth/sessions.ts": "the issuer's sessions",
    "services/auth/signing-keys.ts": "the issuer's keys",
    "services/auth/throttle.ts": "attempts to sign in, before anybody is somebody",
    "services/auth/users.ts": "accounts are the issuer's",
    "services/auth/worker.ts": "accounts are the issuer's",
    "services/catalog/products.ts":
      "a database of its own; every statement has the realm's condition",
    "services/chat/archive.ts":
      "a database of its own; each statement names the room's own identity",
    "services/mailer/ledger.ts": "a database of its own, each row with its realm",
    "services/mailer/mailbox.ts": "a database of its own, each row with its realm",
    "services/orderlog/log.ts": "a database of its own, each row with its realm",
    "src/cli/read-only-sql.ts": "SQLite in a file of this machine",
    "src/contract/realm-rows.ts": "the way through a realm",
    "src/dead-letters/file.ts": "files letters of many realms at once, each row with its own",
    "src/list/alerts.ts": "tells those who run the deployment of everybody's incidents",
    "src/list/live.ts": "counts a tenant's instances over all jurisdictions, for its limits",
    "src/list/sweep.ts": "wakes everybody's overdue objects",
    "src/list/write.ts": "writes what instances of many realms tell, each row with its own",
    "src/testing/memory-storage.ts": "SQLite in memory",
  };

  it("asks a database", () => {
    expect(having(/\.prepare\(/)).toEqual(Object.keys(askers));
    const batching = having(/[dD]atabase\s*\.(batch|exec)\(/);
    expect(batching.filter((file) => !(file in askers))).toEqual([]);
  });

  /** File → whose realms it makes without a caller. */
  const makers = {
    "services/avatars/worker.ts": "of what registrations say, by the orchestrator's binding",
    "services/catalog/stock-room.ts":
      "of what the orders' actors say, by the orchestrator's binding",
    "services/catalog/worker.ts": "of what the orders' actors say, by the orchestrator's binding",
    "services/orderlog/tail.ts": "of a follower, whom the Worker has let in",
    "services/support/ingest.ts": "of what came by a queue",
    "src/contract/realm.ts": "here they are made",
    "src/dead-letters/ways-back.ts": "of a letter, as it was filed",
    "src/egress/erase.ts": "the instance's own name",
    "src/egress/runner.ts": "the instance's own identity",
    "src/ingress/dead-queue.ts": "of what came by a queue",
    "src/instance/archiver.ts": "the instance's own identity",
    "src/list/consumer.ts": "of what came by a queue",
    "src/rabbitmq/message.ts": "of what came by the broker",
    "src/tenants/allowances.ts": "of a tenant that was admitted",
    "src/webhooks/courier.ts": "the object's own name, which it has checked",
    "src/webhooks/transport.ts": "the instance's own identity",
    "src/webhooks/unfiled.ts": "the object's own name, which it has checked",
  };

  it("makes a realm without a caller", () => {
    expect(having(/\b(realmOfOwn|findRealm)\(/)).toEqual(Object.keys(makers));
    expect(having(/\bas (unknown as )?Realm\b/)).toEqual(["src/contract/realm.ts"]);
  });
});

describe("a realm", () => {
  const caller = (whose: object): Caller =>
    ({ subject: "s", roles: [], ...whose }) as unknown as Caller;

  it("is made of a caller's tenant and jurisdiction, and of nothing else", () => {
    expect(realmOf(caller({ tenant: "a/b" }))).toEqual({ tenant: "a/b" });
    expect(realmOf(caller({ tenant: "a", jurisdiction: "eu" }))).toEqual({
      ...{ tenant: "a", jurisdiction: "eu" },
    });
  });

  it.each([
    {},
    { tenant: "" },
    { tenant: 7 },
    { tenant: ["a"] },
    { tenant: "a\0" },
    { tenant: "\uD800" },
    { tenant: "x".repeat(101) },
    { tenant: "a", jurisdiction: "moon" },
    { tenant: "a", jurisdiction: "" },
    { tenant: "a", jurisdiction: ["eu"] },
  ])("is not made of %j", (whose) => {
    expect(findRealm(whose)).toBeNull();
    expect(() => realmOf(caller(whose))).toThrow("must name a tenant");
    expect(() => realmOfOwn(whose as never)).toThrow("names no tenant");
  });
});

describe("an object's place", () => {
  /** As the platform has it: the same name in two jurisdictions is two objects. */
  const namespaceIn = (where: string): object => ({
    getByName: (name: string) => JSON.stringify([where, name]),
    idFromName: (name: string) => JSON.stringify([where, name]),
    jurisdiction: (jurisdiction: string) => namespaceIn(jurisdiction),
  });
  const namespace = namespaceIn("anywhere") as DurableObjectNamespace;
  const part = fc.oneof(
    fc.constantFrom("", "a", "a/b", "a%2Fb", "b", "/", "..", "A", "eu", "é", "e\u0301"),
    fc.string({ unit: "grapheme", maxLength: 10 }),
  );
  const place = fc.record({
    tenant: part.filter((tenant) => findRealm({ tenant }) !== null),
    jurisdiction: fc.constantFrom(undefined, ...jurisdictions),
    parts: fc.array(part, { maxLength: 3 }),
  });

  it("is another for each tenant, jurisdiction and name", () => {
    fc.assert(
      fc.property(place, place, (one, other) => {
        const [there, elsewhere] = [one, other].map(({ tenant, jurisdiction, parts }) =>
          objectIdIn(namespace, realmOfOwn({ tenant, jurisdiction }), ...parts),
        );
        const named = ({ tenant, jurisdiction, parts }: typeof one) =>
          JSON.stringify([tenant, jurisdiction, parts]);
        expect(objectIn(namespace, realmOfOwn(one), ...one.parts)).toBe(there);
        expect(there === elsewhere).toBe(named(one) === named(other));
      }),
      { numRuns: 20_000 },
    );
  });

  it("in a bucket is the instance's own, whatever is asked for", async () => {
    const asked: string[] = [];
    const bucket = (where: string) => ({
      get: (key: string) => Promise.resolve(void asked.push(`${where} ${key}`)),
    });
    const env = { PAYLOADS: bucket("anywhere"), PAYLOADS_EU: bucket("eu") };
    for (const jurisdiction of [undefined, "eu"] as const) {
      const realm = realmOfOwn({ tenant: "a", jurisdiction });
      await new Drawer(env, realm, "payload", "0f").get("../x");
    }
    expect(asked).toEqual(["anywhere payload/0f/../x", "eu payload/0f/../x"]);
    expect(
      () => new Drawer(env, realmOfOwn({ tenant: "a", jurisdiction: "us" }), "payload", "0"),
    ).toThrow("PAYLOADS_US");
  });
});

describe("a statement about rows that are somebody's", () => {
  const bound: unknown[][] = [];
  const statement = { bind: (...values: unknown[]) => (bound.push(values), statement), all };
  function all() {
    return Promise.resolve({ results: [] });
  }
  const rows = RealmRows.of({ LIST: { prepare: () => statement } }, realmOfOwn({ tenant: "a" }))!;

  it.each([
    "SELECT * FROM instances",
    "SELECT * FROM instances WHERE tenant = ?1",
    "SELECT * FROM instances WHERE tenant = ?1 AND jurisdiction IS ?2",
    `SELECT * FROM labels CROSS JOIN instances WHERE ${mine("labels")}`,
    `SELECT * FROM labels AS driver WHERE ${mine("labels")}`,
    `SELECT * FROM dead_letters WHERE ${mine("dead_letters")}
       UNION SELECT * FROM dead_letters`,
    `SELECT * FROM labels, counts WHERE ${mine("labels")}`,
    "UPDATE dead_letters SET status = 'sent' WHERE id = ?3",
    "DELETE FROM dead_letters",
    "SELECT * FROM alerts WHERE tenant = ?1",
  ])("is refused where a table isn't narrowed: %s", async (text) => {
    await expect((async () => rows.all(text))()).rejects.toThrow("isn't narrowed to a realm");
    expect(bound).toEqual([]);
  });

  it("is bound to the realm, whatever its author binds", async () => {
    await rows.all(`SELECT * FROM instances WHERE ${mine("instances")} AND id = ?3`, "x");
    expect(bound.splice(0)).toEqual([["a", null, "x"]]);
  });
});
