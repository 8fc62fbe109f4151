import * as v from "valibot";
import { refusal } from "../contract/problem.ts";
import { validate } from "../instance/validate.ts";
import { wakeWebhooks } from "../contract/webhooks.ts";
import { wakeAll } from "../list/sweep.ts";
import type { Allowances } from "../tenants/allowances.ts";
import { admit } from "./admit.ts";
import { readJson } from "./body.ts";
import type { Instances } from "./instances.ts";
import { jurisdiction } from "./jurisdiction.ts";
import { jsonResponse } from "./respond.ts";
import type { TokenSettings } from "./token.ts";

const MAX_OBJECTS = 100;

const reindexBody = v.strictObject({
  kind: v.optional(v.picklist(["instances", "webhooks"]), "instances"),
  objects: v.pipe(
    v.array(v.strictObject({ id: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)), jurisdiction })),
    v.maxLength(MAX_OBJECTS),
  ),
});

/**
 * `POST /operations/reindex`: has the objects named tell the list anew and wrap their secrets by the current
 * key, whoever's they are. For those who run the deployment.
 */
export async function reindex(
  request: Request,
  settings: TokenSettings,
  { instances, allowances }: { instances: Instances; allowances: Allowances },
): Promise<Response> {
  const caller = await admit(request, settings, allowances);
  if (!caller.roles.includes("administrator")) {
    throw refusal("forbidden", "This is for the role administrator.");
  }
  const { kind, objects } = validate(reindexBody, await readJson(request), "");
  const sleepers = objects.map(({ id, jurisdiction }) => ({
    object: id,
    jurisdiction: jurisdiction ?? null,
  }));
  const { woken, failed } = await wakeAll(sleepers, (object, where) =>
    kind === "webhooks" ? wakeWebhooks(settings, object, where) : instances.wake(object, where),
  );
  return jsonResponse(
    JSON.stringify({
      woken,
      failed: failed.map(({ object, error }) => ({ id: object, error })),
    }),
  );
}
