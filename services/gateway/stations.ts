import { refusal } from "../../src/contract/problem.ts";
import { readOptionalJson } from "../../src/ingress/body.ts";
import { idempotencyKey } from "../../src/ingress/idempotency.ts";
import type { StationCalls, StationMove } from "../contracts/stations.ts";
import { granted } from "../replying.ts";
import { requireStaff } from "../staff.ts";
import { nothingAt, wrongMethod } from "./answers.ts";
import type { ApiRequest, GatewayEnv } from "./api.ts";

/** Last segments of the addresses that move a job on. */
const moves: Readonly<Record<string, StationMove>> = {
  "begin-next": "begin",
  "finish-next": "finish",
  "fail-next": "fail",
};

const places = { KITCHEN_JOBS: "kitchen", DELIVERY_JOBS: "delivery" } as const;

/** `/api/kitchen/…` and `/api/delivery/…`: `pending`, `begin-next`, `finish-next`, `fail-next`. */
export function station(binding: keyof typeof places) {
  return async ({ request, url, path, asker, env }: ApiRequest): Promise<Response> => {
    const calls = boundAs(binding, env);
    const [last = "", ...rest] = path;
    if (rest.length > 0) throw nothingAt(url);
    if (last === "pending") {
      if (request.method !== "GET") return wrongMethod(request, "GET");
      return Response.json({ pending: granted(await calls.pending(asker)) });
    }
    const move = Object.hasOwn(moves, last) ? moves[last] : undefined;
    if (move === undefined) throw nothingAt(url);
    if (request.method !== "POST") return wrongMethod(request, "POST");
    // Before anything is read of what somebody else sends; the station looks once more.
    requireStaff(asker.caller, places[binding]);
    const key = idempotencyKey(request.headers);
    const data = await readOptionalJson(request);
    return Response.json(granted(await calls.move(asker, move, data, key)));
  };
}

function boundAs(binding: keyof typeof places, env: GatewayEnv): StationCalls {
  const calls = env[binding];
  if (calls !== undefined) return calls;
  throw refusal("not-configured", `This deployment has no ${binding}.`);
}
