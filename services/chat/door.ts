import { isInstanceId } from "../../src/contract/address.ts";
import type { Caller } from "../../src/contract/caller.ts";
import { log } from "../../src/contract/log.ts";
import { ProblemError, refusal, type Problem } from "../../src/contract/problem.ts";
import type { TokenSettings } from "../../src/ingress/token.ts";
import { admitted } from "../doors.ts";
import type { Part } from "../contracts/chat.ts";
import type { Person } from "./frames.ts";

/** The workflow whose instances have a room. */
export const WORKFLOW = "orders";

export interface DoorEnv extends TokenSettings {
  ORCHESTRATOR: Fetcher;
}

/** Milliseconds that the orchestrator has to say who may enter. */
const PATIENCE = 10_000;
/** What of the orchestrator's is the asker's to know; 410 says that the order was erased, 429 that the tenant has asked too much. */
const PASSED_ON = new Set([401, 403, 404, 410, 429]);

/** @throws ProblemError bad-id */
export function checkOrderId(id: string): void {
  if (isInstanceId(id)) return;
  const detail = "An order's id has 1 to 200 characters of A–Z a–z 0–9 . _ ~ - and is not . or ..";
  throw refusal("bad-id", detail, { field: "id" });
}

/**
 * Who may enter an order's room is who may see the order: the orchestrator is asked in their name, and no
 * token is believed for that.
 *
 * @throws ProblemError unauthenticated, bad-id, overloaded, not-configured; the orchestrator's own where it
 *   says no
 */
export async function admit(request: Request, id: string, env: DoorEnv): Promise<Caller> {
  const caller = await admitted(request, env);
  checkOrderId(id);
  const answer = await ask(request.headers.get("authorization")!, id, env);
  // Read to its end whatever it says: what is broken off keeps its connection from being used again.
  const said = await answer.text();
  if (answer.status === 200) return caller;
  if (!PASSED_ON.has(answer.status)) throw outOfReach(answer.status);
  throw new ProblemError(JSON.parse(said) as Problem);
}

async function ask(
  authorization: string,
  id: string,
  { ORCHESTRATOR }: DoorEnv,
): Promise<Response> {
  try {
    return await ORCHESTRATOR.fetch(`https://orchestrator/${WORKFLOW}/${id}`, {
      headers: { Authorization: authorization },
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch (error) {
    log.error("The chat could not ask the orchestrator who may see an order", { error });
    throw outOfReach(null);
  }
}

function outOfReach(status: number | null): ProblemError {
  const said = status === null ? "did not answer" : `answered ${status}`;
  const detail = `Who may see the order can't be said just now: the orchestrator ${said}. Try again.`;
  return refusal("overloaded", detail, { retryAfter: 2 });
}

/**
 * As whom somebody speaks. Who is a courier is one in the room, whatever else they are; who serves the shop
 * speaks for it, though they may order there too.
 *
 * @throws ProblemError forbidden, unauthenticated
 */
export function personOf({ subject, roles }: Caller): Person {
  // Both databases keep it: none may cut it off, or replace part of it.
  if (!subject.isWellFormed() || /\p{Cc}/u.test(subject)) {
    throw refusal("unauthenticated", "The token's subject has characters that no name has.");
  }
  const part = partOf(roles);
  if (part !== null) return { subject, part };
  const detail = `A room is for customers, couriers and the shop; you are ${roles.join(", ") || "nobody"}.`;
  throw refusal("forbidden", detail);
}

function partOf(roles: readonly string[]): Part | null {
  if (roles.includes("courier")) return "courier";
  if (roles.includes("service") || roles.includes("operator")) return "shop";
  return roles.includes("customer") ? "customer" : null;
}
