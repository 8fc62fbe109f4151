import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { machineHash } from "./fingerprint.ts";

/** `machines/versions.lock.json`: every version that was ever released, workflow by workflow. */
export type VersionsLock = Record<string, Record<string, LockedVersion>>;

interface LockedVersion {
  hash: string;
  /** No instance has it any more, and the bundle need not carry it. */
  retired?: true;
}

type Workflows = ReadonlyMap<string, RegisteredWorkflow>;

/** What is wrong with the versions that were released, each with what to do about it. */
export function complaints(workflows: Workflows, lock: VersionsLock): string[] {
  const found: string[] = [];
  for (const [key, released] of Object.entries(lock)) {
    const versions = workflows.get(key)?.versions;
    for (const [version, { hash, retired }] of Object.entries(released)) {
      const machine = versions?.get(version)?.machine;
      const what = `Version ${version} of "${key}"`;
      if (machine === undefined) {
        if (retired === true) continue;
        found.push(
          `${what} was released and is not deployed any more: its instances would stand still. Put it back under the workflow's versions; or, once GET /${key}?version=${version} finds none, npm run release -- --retire ${key} ${version}.`,
        );
      } else if (machineHash(machine) !== hash) {
        found.push(
          `${what} was released and has been edited: instances run it. Put it back as it was (git log -- machines), keep it under the workflow's versions, and give the changed chart a version of its own.`,
        );
      }
    }
  }
  for (const { key, versions } of workflows.values()) {
    for (const version of unlocked(versions, lock[key]).slice(1)) {
      found.push(
        `Version ${version} of "${key}" is said to be released, and was not: npm run release.`,
      );
    }
  }
  return found;
}

/** The lock with every version that the bundle carries. */
export function withReleased(workflows: Workflows, lock: VersionsLock): VersionsLock {
  const next = structuredClone(lock);
  for (const { key, versions } of workflows.values()) {
    const released = (next[key] ??= {});
    for (const [version, { machine }] of versions) {
      released[version] ??= { hash: machineHash(machine) };
    }
  }
  return next;
}

/** The workflows whose newest version was not released yet. */
export function unreleased(workflows: Workflows, lock: VersionsLock): string[] {
  return [...workflows.values()].flatMap(({ key, version }) =>
    lock[key]?.[version] === undefined ? [`${key} ${version}`] : [],
  );
}

/** The newest first, whether it is locked or not; then those that are not. */
function unlocked(
  versions: ReadonlyMap<string, RegisteredWorkflow>,
  released: VersionsLock[string] = {},
): string[] {
  const [newest, ...earlier] = versions.keys();
  return [newest!, ...earlier.filter((version) => released[version] === undefined)];
}
