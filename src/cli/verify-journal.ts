import { join } from "node:path";
import colors from "picocolors";
import { workflows } from "../../machines/index.ts";
import { journalKeys } from "../audit/keys.ts";
import type { Verification } from "../contract/verification.ts";
import { CommandLineMistake, parseOptions, tellMistake } from "./command-line.ts";
import { root } from "./fleet.ts";
import { checkState, LocalJournals, type Looked } from "./local-journals.ts";
import { remoteJournals } from "./remote-journals.ts";
import { localSecrets } from "./secrets.ts";

/**
 * `npm run verify-journal`: whether every instance's journal is what was written. Offline over the local
 * runtime's files, which it reads and never writes, with the key of `.durachart/secrets.json` or that of
 * the environment's JOURNAL_KEYS; over a deployment with `-- --url https://…` and, in the environment,
 * DURACHART_TOKEN, a token for the role `operator`; of some workflows alone with `--workflow NAME`. It
 * ends with 1 where something is broken or can't be asked for, with 2 where the command was mistaken.
 */
const options = {
  state: { type: "string", default: join(root, ".wrangler", "state") },
  url: { type: "string" },
  /** By default all: of a deployment the shop's, of files whichever there are. */
  workflow: { type: "string", multiple: true },
} as const;

/** Instances after which it is told how far it has come. */
const TELL_EVERY = 100;

interface Sum {
  entries: number;
  intact: number;
  unprotected: number;
  broken: number;
}

async function main(): Promise<void> {
  const { values } = parseOptions({ options });
  const sum: Sum = { entries: 0, intact: 0, unprotected: 0, broken: 0 };
  const journals =
    values.url === undefined
      ? local(values.state, values.workflow)
      : remote(values.url, values.workflow);
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

async function* local(
  state: string,
  wanted: readonly string[] | undefined,
): AsyncGenerator<Looked, void, undefined> {
  checkState(state);
  const { JOURNAL_KEYS = localSecrets(root).variables["JOURNAL_KEYS"] } = process.env;
  const journals = new LocalJournals(state, () => journalKeys({ JOURNAL_KEYS }), wanted);
  for (const file of journals.files()) {
    let looked: Looked | null;
    try {
      looked = await journals.look(file);
    } catch (error) {
      looked = { name: file, found: unreadable(error) };
    }
    if (looked !== null) yield looked;
  }
  const known = [...Object.keys(workflows), ...journals.workflows];
  const unknown = wanted?.find((workflow) => !known.includes(workflow));
  if (unknown === undefined) return;
  const names = [...new Set(known)].join(", ");
  throw new CommandLineMistake(
    `There is no workflow "${unknown}" in ${state}: there are ${names}.`,
  );
}

function remote(
  url: string,
  wanted = Object.keys(workflows),
): AsyncGenerator<Looked, void, undefined> {
  const { DURACHART_TOKEN: token } = process.env;
  if (!token) throw new Error("Set DURACHART_TOKEN to a token for the role operator.");
  return remoteJournals({ url, token, workflows: wanted });
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
  if (error instanceof CommandLineMistake) tellMistake(error);
  else {
    console.error(colors.red((error as Error).message));
    process.exitCode = 1;
  }
}
