import type { Limits } from "../../src/contract/limits.ts";
import { defaultLimits } from "../../src/contract/limits.ts";
import { AlarmClock } from "../../src/contract/alarm-clock.ts";
import { Store } from "../../src/instance/store.ts";
import { Transactions } from "../../src/instance/transactions.ts";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";
import type { NodeInstance } from "../../src/testing/index.ts";
import { MemoryStorage } from "../../src/testing/memory-storage.ts";

/** An instance's storage, in the hands of the test. */
export function opened(
  instance: NodeInstance,
  workflow: WorkflowDefinition,
  limits: Partial<Limits> = {},
) {
  const storage = new MemoryStorage();
  storage.load(instance.dump());
  const transactions = new Transactions({
    ...{ storage, store: new Store(storage.sql as never) },
    alarm: new AlarmClock({ storage, waitUntil: () => {} } as never),
    workflows: registerWorkflows({ tests: workflow }),
    clock: () => instance.now,
    afterCommit: () => {},
    limits: { ...defaultLimits, ...limits },
  } as never);
  return { storage, transactions };
}
