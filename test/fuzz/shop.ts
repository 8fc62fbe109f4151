import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { startEphemeralFleet } from "../../src/cli/fleet.ts";
import { makeSecrets, type Secrets } from "../../src/cli/secrets.ts";

/** The shop that is fuzzed. */
export interface FuzzedShop {
  /** The runtime's own address: wrangler's proxy in front of it takes two thirds of the time. */
  base: URL;
  /** Of the process that runs the Workers. */
  pid: number;
  secrets: Secrets;
  close(): Promise<void>;
}

/** The whole shop in one local runtime, without anything that is asked for over the network. */
export async function openShop(): Promise<FuzzedShop> {
  // What the local runtime notes of each request costs as much as answering it.
  process.env["X_LOCAL_OBSERVABILITY"] = "false";
  const secrets = makeSecrets();
  const fleet = await startEphemeralFleet(secrets, {
    LOG_LEVEL: "error",
    TICKET_SECRET: randomBytes(32).toString("base64"),
    ALLOWED_ORIGINS: "https://shop.test",
  });
  const proxy = Number(new URL(fleet.url).port);
  const runtimes = childrenOf(process.pid)
    .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("workerd"))
    .map((pid) => ({ pid, ports: portsOf(pid) }));
  const found = runtimes.filter(({ ports }) => ports.length > 0 && !ports.includes(proxy));
  if (found.length !== 1 || found[0]!.ports.length !== 1) {
    throw new Error(`The runtime was not found by its port among ${JSON.stringify(runtimes)}.`);
  }
  const { pid, ports } = found[0]!;
  const base = new URL(`http://127.0.0.1:${ports[0]}`);
  return { base, pid, secrets, close: () => fleet.close() };
}

/** Bytes that a process has in memory. */
export function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))!;
  return Number(kilobytes) * 1_024;
}

export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** Ports that a process listens on. */
function portsOf(pid: number): number[] {
  const own = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${descriptor}`))?.[1] ?? [];
      } catch {
        // Closed meanwhile.
        return [];
      }
    }),
  );
  const LISTENING = "0A";
  return readFileSync(`/proc/${pid}/net/tcp`, "utf8")
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[3] === LISTENING && own.has(columns[9]!))
    .map((columns) => Number.parseInt(columns[1]!.split(":")[1]!, 16));
}
