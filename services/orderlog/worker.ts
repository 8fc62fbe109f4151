import { Router, type IRequest } from "itty-router";
import * as v from "valibot";
import type { Caller } from "../../src/contract/caller.ts";
import { refusal } from "../../src/contract/problem.ts";
import { giveBack, openEnvelope, toProblem } from "../../src/ingress/queue.ts";
import { errorResponse, finish } from "../../src/ingress/respond.ts";
import { authenticate, type TokenSettings } from "../../src/ingress/token.ts";
import { validate } from "../../src/instance/validate.ts";
import { requireStaff } from "../staff.ts";
import { append, readLog, type LogEntry } from "./log.ts";

interface Env extends TokenSettings {
  LOG: D1Database;
  DEAD_LETTERS: Queue;
}

const whole = (least: number, most: number, otherwise: string) =>
  v.optional(
    v.pipe(
      v.string(),
      v.digits(),
      v.transform(Number),
      v.number(),
      v.minValue(least),
      v.maxValue(most),
    ),
    otherwise,
  );
const query = v.strictObject({
  order: v.optional(v.pipe(v.string(), v.regex(/^[^/]+\/[^/]+$/, "must be {workflow}/{id}"))),
  after: whole(0, Number.MAX_SAFE_INTEGER, "0"),
  limit: whole(1, 1_000, "100"),
});

const router = Router<IRequest, [Env]>({
  catch: (error) => errorResponse(error),
  finally: [(response: Response) => finish(response)],
});

const guarded =
  (handle: (request: IRequest, caller: Caller, env: Env) => Promise<Response>) =>
  async (request: IRequest, env: Env): Promise<Response> => {
    const caller = await authenticate(request, env);
    requireStaff(caller, "order log");
    return handle(request, caller, env);
  };

const parameters = (request: IRequest) =>
  validate(query, Object.fromEntries(new URL(request.url).searchParams), "");

router
  .get("/healthz", () => Response.json({ status: "ok" }))
  .get(
    "/log",
    guarded(async (request, { tenant }, env) => {
      const { order = null, after, limit } = parameters(request);
      const entries = await readLog(env.LOG, { tenant, subject: order, after, limit });
      return Response.json({ entries });
    }),
  )
  .all(
    "*",
    guarded(async (request) => {
      throw refusal("not-found", `There is nothing at ${request.method} ${request.url}.`);
    }),
  );

export default {
  fetch: (request: Request, env: Env): Promise<Response> => router.fetch(request, env),

  queue: (batch: MessageBatch, env: Env): Promise<void> => log(batch, env),
};

/** Writes a batch with one statement; what can't be read goes to the dead letters by itself. */
async function log(batch: MessageBatch, env: Env): Promise<void> {
  const readable: { message: Message; entry: LogEntry }[] = [];
  for (const message of batch.messages) {
    try {
      const { caller, event } = openEnvelope(message.body);
      const time = event.time ?? message.timestamp.toISOString();
      const entry = { ...event, tenant: caller.tenant, time };
      readable.push({ message, entry });
    } catch (error) {
      // Whatever is wrong with it, its neighbours in the batch are not to blame.
      await giveBack(message, batch.queue, toProblem(error), env.DEAD_LETTERS);
    }
  }
  await append(
    env.LOG,
    readable.map(({ entry }) => entry),
  );
  for (const { message } of readable) message.ack();
}
