import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { Asker, Reply } from "../../services/contracts/reply.ts";
import type { SupportDocument } from "../../services/contracts/support.ts";
import type { SupportEnv } from "../../services/support/env.ts";
import worker, { Support } from "../../services/support/worker.ts";
import type { Caller } from "../../src/contract/caller.ts";
import { objectIn } from "../../src/contract/objects.ts";
import { realmOf } from "../../src/contract/realm.ts";
import { ProblemError } from "../../src/contract/problem.ts";

/** What the shop tells its customers, as it is submitted. */
export const shopDocuments = JSON.parse(env.SHOP_DOCUMENTS) as SupportDocument[];

const supportEnv = env as unknown as SupportEnv;

/** @throws ProblemError */
export function value<Value>(reply: Reply<Value>): Value {
  if (reply.ok) return reply.value;
  throw new ProblemError(reply.problem);
}

/** Asserts that a reply is a problem, and gives it. */
export function problemOf(reply: Reply<unknown>) {
  if (reply.ok) throw new Error(`It was granted: ${JSON.stringify(reply.value)}`);
  return reply.problem;
}

let counter = 0;

/** A tenant of the test's own, and the service as the gateway calls it for that tenant's people. */
export function desk(bindings: Partial<SupportEnv> = {}) {
  const tenant = `desk-${(counter += 1)}-${crypto.randomUUID().slice(0, 8)}`;
  const queued: unknown[] = [];
  const SUPPORT_DOCUMENTS = {
    send: async (body: unknown) => void queued.push(structuredClone(body)),
  } as unknown as Queue;
  const bound: SupportEnv = { ...supportEnv, SUPPORT_DOCUMENTS, ...bindings };
  const service = new Support(createExecutionContext(), bound);
  const as = (role: Caller["roles"][number], subject = "olga"): Asker => ({
    caller: { tenant, subject, roles: [role] },
    authorization: `Bearer ${subject}`,
  });
  const staff = as("operator");
  const library = () => objectIn(bound.LIBRARIES, realmOf(staff.caller));
  const submit = async (id: string, document: Omit<SupportDocument, "id"> | null) =>
    value(await service.submit(staff, id, document));
  const deliver = async (bodies: readonly unknown[], attempts = 1) => {
    const messages = bodies.map((body, index) => ({
      ...{ id: `m-${index}`, timestamp: new Date(), attempts, body },
    }));
    const batch = createMessageBatch("support-documents", messages);
    await worker.queue(batch, bound);
    return getQueueResult(batch, createExecutionContext());
  };
  return {
    ...{ tenant, service, as, staff, queued, library, submit, deliver },
    /** Submits documents and has them taken in. */
    teach: async (documents: readonly SupportDocument[]) => {
      for (const { id, ...document } of documents) await submit(id, document);
      return deliver(queued.splice(0));
    },
    /** Each by somebody else, so that nobody asks too often. */
    ask: async (question: string, order?: string, subject: string = crypto.randomUUID()) =>
      value(await service.ask(as("customer", subject), { question, order })),
  };
}
