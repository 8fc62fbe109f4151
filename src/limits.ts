import { defaultLimits, type Limits } from "./contract/limits.ts";

/** What instances and tenants of this deployment may take up: the orchestrator and the doors before it go by it. */
export const limits: Limits = defaultLimits;
