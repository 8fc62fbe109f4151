export { runInNode, type NodeInstance, type NodeOptions } from "./node.ts";
export { runInWorkerd, type WorkerdInstance, type WorkerdTools } from "./workerd.ts";
export type { TestInstance, TestEvent } from "./test-instance.ts";
export { ProcessDied } from "./memory-storage.ts";
