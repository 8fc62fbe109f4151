import { existsSync, globSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** What a station's database says, once its process is gone. */
export interface StationRecord {
  /** Messages that it has taken in, by `source id`. */
  taken: string[];
  /** Reports that it has made, sent or not. */
  reported: number;
}

const PREFIX = "event:";

/** @param folder the class's, with one database an object and the runtime's own */
export function readStation(folder: string): StationRecord {
  const record: StationRecord = { taken: [], reported: 0 };
  if (!existsSync(folder)) return record;
  for (const file of globSync("*.sqlite", { cwd: folder })) {
    const database = new DatabaseSync(join(folder, file));
    const tables = database.prepare("SELECT name FROM sqlite_master").all();
    if (tables.some(({ name }) => name === "inbox")) {
      const keys = database.prepare("SELECT key FROM inbox").all() as { key: string }[];
      const events = keys.filter(({ key }) => key.startsWith(PREFIX));
      record.taken.push(...events.map(({ key }) => key.slice(PREFIX.length)));
      const made = database.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").get();
      record.reported += Number(made?.["seq"] ?? 0);
    }
    database.close();
  }
  return record;
}
