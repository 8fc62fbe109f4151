import type { Role } from "../kernel/workflow.ts";

/** Who is asking, as the credentials say. */
export interface Caller {
  tenant: string;
  /** Where the tenant's objects must stay: a Durable Object jurisdiction such as "eu". */
  jurisdiction?: DurableObjectJurisdiction;
  /** The person or service. Idempotency keys are kept apart by it. */
  subject: string;
  roles: readonly Role[];
  /** What the token opens beside what the roles do. */
  scopes?: readonly string[];
  /** What it proved itself by, for the journal: `token:{jti}`, `webhook:{sender}`, `binding:{subject}` … */
  credential?: string;
}

export function isOperator(caller: Caller): boolean {
  return caller.roles.includes("operator");
}
