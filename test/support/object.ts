import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { stubOf } from "./client.ts";

const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

export const alarmOf = (workflow: string, id: string) =>
  runInDurableObject(stubOf(workflow, id), (_instance, { storage }) => storage.getAlarm());

export const tablesOf = (workflow: string, id: string) =>
  runInDurableObject(stubOf(workflow, id), (_instance, { storage }) => {
    const names = storage.sql
      .exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'",
      )
      .toArray();
    return names.map(({ name }) => name).toSorted();
  });

/** Every row of every table of the object, as text. */
export const contentOf = (workflow: string, id: string) =>
  runInDurableObject(stubOf(workflow, id), (_instance, { storage }) => {
    const tables = storage.sql
      .exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
      )
      .toArray();
    const rows = tables.map(({ name }) => [
      name,
      storage.sql.exec(`SELECT * FROM ${name}`).toArray(),
    ]);
    return JSON.stringify(rows);
  });

/** Rings the alarm, and lets what it begins come as far as it gets. @returns whether one was set */
export const ring = async (workflow: string, id: string) => {
  const rang = await runDurableObjectAlarm(stubOf(workflow, id));
  await settle();
  return rang;
};
