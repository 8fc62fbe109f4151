import { parseArgs } from "node:util";
import colors from "picocolors";
import { root } from "./fleet.ts";
import { localObjects, objectsInProduction, type ObjectClass } from "./objects.ts";
import { localSecrets, tokenOf } from "./secrets.ts";

/**
 * `npm run reindex`: has every instance tell the list of itself anew, for when the list was lost, or its
 * databases have become more; and has instances and webhooks wrap their secrets by the current key. Locally as it is, while `npm run dev` runs; in production with
 * `-- --remote --url https://…`, and in the environment CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID
 * and DURACHART_TOKEN, a token of your issuer's for the role `administrator`.
 */
const { values } = parseArgs({
  options: {
    url: { type: "string", default: `http://localhost:${process.env["PORT"] ?? "8787"}` },
    remote: { type: "boolean", default: false },
    /** Of the objects, where they are bound to one. */
    jurisdiction: { type: "string" },
  },
});

const PAGE = 100;

interface Answer {
  woken: number;
  failed: { id: string; error: string }[];
}

const kinds = { instances: "Instance", webhooks: "Webhooks" } as const;
type Kind = keyof typeof kinds;

let woken = 0;
let failed = 0;

async function main(): Promise<void> {
  const token = values.remote ? fromEnvironment("DURACHART_TOKEN") : await localToken();
  for (const kind of ["instances", "webhooks"] as const) await wakeAll(kind, token);
  const rest = "The list has them in a few seconds.";
  console.log(failed === 0 ? colors.green(`Done: ${woken} objects. ${rest}`) : rest);
  process.exitCode = failed === 0 ? 0 : 1;
}

function objectsOf(kind: ObjectClass): Iterable<string> | AsyncIterable<string> {
  if (!values.remote) return localObjects(root, kind);
  return objectsInProduction(
    fromEnvironment("CLOUDFLARE_ACCOUNT_ID"),
    fromEnvironment("CLOUDFLARE_API_TOKEN"),
    kind,
  );
}

async function wakeAll(kind: Kind, token: string): Promise<void> {
  let page: string[] = [];
  const wakePage = async (): Promise<void> => {
    if (page.length === 0) return;
    const answer = await wake(kind, page, token);
    page = [];
    woken += answer.woken;
    failed += answer.failed.length;
    for (const { id, error } of answer.failed) console.error(colors.red(`${id}: ${error}`));
    console.log(colors.dim(`${woken} woken${failed === 0 ? "" : `, ${failed} failed`}`));
  };
  for await (const object of objectsOf(kinds[kind])) {
    if (page.push(object) === PAGE) await wakePage();
  }
  await wakePage();
}

async function wake(kind: Kind, ids: readonly string[], token: string): Promise<Answer> {
  const { url, jurisdiction } = values;
  const where = jurisdiction === undefined ? {} : { jurisdiction };
  const response = await fetch(new URL("/operations/reindex", url), {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ kind, objects: ids.map((id) => ({ id, ...where })) }),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as Answer;
}

function localToken(): Promise<string> {
  return tokenOf(values.url, localSecrets(root).clients.staff);
}

function fromEnvironment(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`Set ${name}.`);
  return value;
}

try {
  await main();
} catch (error) {
  console.error(colors.red((error as Error).message));
  process.exitCode = 1;
}
