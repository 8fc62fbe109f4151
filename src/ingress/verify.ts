import { isOperator } from "../contract/caller.ts";
import { log } from "../contract/log.ts";
import { refusal } from "../contract/problem.ts";
import { RealmRows } from "../contract/realm-rows.ts";
import { realmOf } from "../contract/realm.ts";
import type { ListedHead } from "../contract/verification.ts";
import { listedHead } from "../list/heads.ts";
import type { Visit } from "./handlers.ts";
import { addressOf } from "./instances.ts";
import { granted, jsonResponse } from "./respond.ts";

/** `GET /{workflow}/{id}/verify`: whether the journal is what was written, and the state what it says. */
export async function verify(visit: Visit): Promise<Response> {
  const { caller, workflow, id, instances, env } = visit;
  const address = addressOf(caller, workflow.key, id);
  if (!isOperator(caller)) throw refusal("forbidden", '"verify" is for operators.');
  // Before the instance looks: what the list was told must then be there.
  const listed = await reachList(() =>
    listedHead(RealmRows.of(env, realmOf(caller)), instances.objectId({ address, caller })),
  );
  return jsonResponse(granted(await instances.verify({ address, caller, listed })).json);
}

/** Without the list's word an end that was cut off is not found: that is no answer. */
async function reachList(ask: () => Promise<ListedHead | null>): Promise<ListedHead | null> {
  try {
    return await ask();
  } catch (error) {
    log.error("The list could not be asked for a journal's head", { error });
    const why = "The list can't be asked just now what it knows of the journal. Try again.";
    throw refusal("overloaded", why);
  }
}
