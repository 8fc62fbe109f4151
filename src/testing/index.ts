export {
  runInNode,
  type Mock,
  type NodeInstance,
  type NodeOptions,
  type OperationAnswer,
  type Sent,
} from "./node.ts";
export { runInWorkerd, type InstanceStub, type WorkerdTools } from "./workerd.ts";
export type { TestInstance, TestEvent } from "./test-instance.ts";
export { referenceTo, type Payloads } from "./memory-payloads.ts";
export { ProcessDied, type StorageDump } from "./memory-storage.ts";
