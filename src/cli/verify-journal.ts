import { join } from "node:path";
import { parseArgs } from "node:util";
import colors from "picocolors";
import { workflows } from "../../machines/index.ts";
import { journalKeys } from "../audit/keys.ts";
import type { Verification } from "../contract/verification.ts";
import { root } from "./fleet.ts";
import { checkState, LocalJournals, type Looked } from "./local-journals.ts";
import { remoteJournals } from "./remote-journals.ts";
import { localSecrets } from "./secrets.ts";

/**
 * `npm run verify-journal`: whether every instance's journal is what was written. Offline over the local
 * runtime's files, which it reads and never writes, with the key of `.durachart/secrets.json` or that of
 * the environment's JOURNAL_KEYS; over a deployment with `-- --url https://…` and, in the environment,
 * DURACHART_TOKEN, a token for the role `operator`. It ends with 1 where something is broken.
 */
const { values } = parseArgs({
  options: {
    state: { type: "string", default: join(root, ".wrangler", "state") },
    url: { type: "string" },
    /** Of a deployment; all of the shop's by default. */
    workflow: { type: "string", multiple: true, default: Object.keys(workflows) },
  },
});

/** Instances after which it is told how far it has come. */
const TELL_EVERY = 100;

interface Sum {
  entries: number;
  intact: number;
  unprotected: number;
  broken: number;
}

async function main(): Promise<void> {
  const sum: Sum = { entries: 0, intact: 0, unprotected: 0, broken: 0 };
  const journals = values.url === undefined ? local() : remote(values.url);
  for await (const { name, found } of journals) {
    sum.entries += found.entries;
    sum[found.status] += 1;
    tell(name, found);
    const all = sum.intact + sum.unprotected + sum.broken;
    if (all % TELL_EVERY === 0) {
      console.log(colors.dim(`${all} journals, ${sum.entries} entries`));
    }
  }
  conclude(sum);
}

async function* local(): AsyncGenerator<Looked, void, undefined> {
  checkState(values.state);
  const { JOURNAL_KEYS = localSecrets(root).variables["JOURNAL_KEYS"] } = process.env;
  const journals = new LocalJournals(values.state, () => journalKeys({ JOURNAL_KEYS }));
  for (const file of journals.files()) {
    let looked: Looked | null;
    try {
      looked = await journals.look(file);
    } catch (error) {
      looked = { name: file, found: unreadable(error) };
    }
    if (looked !== null) yield looked;
  }
}

function remote(url: string): AsyncGenerator<Looked, void, undefined> {
  const { DURACHART_TOKEN: token } = process.env;
  if (!token) throw new Error("Set DURACHART_TOKEN to a token for the role operator.");
  return remoteJournals({ url, token, workflows: values.workflow });
}

function tell(name: string, { status, problems, epoch, from }: Verification): void {
  if (status === "intact" && (from ?? 1) > 1) {
    console.log(colors.dim(`${name}: sealed from entry ${from} of epoch ${epoch} on`));
  }
  if (status !== "broken") return;
  console.log(colors.red(`${name}: broken`));
  for (const { seq, kind, detail } of problems) {
    console.log(`  ${String(seq).padStart(6)}  ${colors.bold(kind)}  ${detail}`);
  }
}

function conclude({ entries, intact, unprotected, broken }: Sum): void {
  const parts = [
    colors.green(`${intact} intact`),
    ...(unprotected > 0 ? [colors.yellow(`${unprotected} not protected`)] : []),
    ...(broken > 0 ? [colors.red(`${broken} broken`)] : []),
  ];
  console.log(`${intact + unprotected + broken} journals, ${entries} entries: ${parts.join(", ")}`);
  process.exitCode = broken > 0 ? 1 : 0;
}

/** What is no database, or lacks what every instance's has. */
function unreadable(error: unknown): Verification {
  const detail = `It can't be read: ${error instanceof Error ? error.message : String(error)}`;
  return {
    ...{ status: "broken", epoch: 0, from: null, to: 0, head: null, entries: 0, archived: 0 },
    listed: null,
    problems: [{ seq: 0, kind: "state", detail }],
  };
}

try {
  await main();
} catch (error) {
  console.error(colors.red((error as Error).message));
  process.exitCode = 1;
}
