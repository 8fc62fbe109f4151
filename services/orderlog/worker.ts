import { WorkerEntrypoint } from "cloudflare:workers";
import { Router, type IRequest } from "itty-router";
import type { Caller } from "../../src/contract/caller.ts";
import { log } from "../../src/contract/log.ts";
import { objectIn } from "../../src/contract/objects.ts";
import { refusal } from "../../src/contract/problem.ts";
import { realmOf, type Realm } from "../../src/contract/realm.ts";
import { giveBack, openEnvelope, toProblem } from "../../src/ingress/queue.ts";
import { errorResponse, finish } from "../../src/ingress/respond.ts";
import { endOf, type TokenSettings } from "../../src/ingress/token.ts";
import type { LogCalls, LoggedEntry, LogParameters } from "../contracts/log.ts";
import type { Asker, Reply } from "../contracts/reply.ts";
import { admitted } from "../doors.ts";
import { replying } from "../replying.ts";
import { requireStaff } from "../staff.ts";
import { append, forget, readLog, type LogEntry } from "./log.ts";
import { pageOf, parametersOf, tailOf } from "./queries.ts";
import { Tail } from "./tail.ts";

interface Env extends TokenSettings {
  LOG: D1Database;
  DEAD_LETTERS: Queue;
  TAILS: DurableObjectNamespace<Tail>;
  /** Days that entries are kept; 90 by default. */
  LOG_RETENTION_DAYS?: string;
}

const DEFAULT_RETENTION = 90;

const router = Router<IRequest, [Env]>({
  catch: (error) => errorResponse(error),
  finally: [(response: Response) => finish(response)],
});

const guarded =
  (handle: (request: IRequest, caller: Caller, env: Env) => Promise<Response>) =>
  async (request: IRequest, env: Env): Promise<Response> => {
    const caller = await admitted(request as unknown as Request, env);
    requireStaff(caller, "order log");
    return handle(request, caller, env);
  };

router
  .get("/healthz", () => Response.json({ status: "ok" }))
  .get(
    "/log",
    guarded(async (request, caller, env) => {
      const entries = await readLog(env.LOG, realmOf(caller), pageOf(parametersOf(request)));
      return Response.json({ entries });
    }),
  )
  .get(
    "/tail",
    guarded(async (request, caller, env) => {
      const wanted = { whose: realmOf(caller), ...tailOf(request) };
      if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
        throw refusal("upgrade-required", "The tail is a WebSocket.");
      }
      const until = endOf(request as unknown as Request);
      const follower = JSON.stringify({ ...wanted, after: wanted.after ?? null, until });
      // As a header: what a client itself says of it is overwritten.
      const asked = new Request(request.url, request as unknown as Request);
      asked.headers.set("durachart-follower", follower);
      const answer = await tailObject(env, realmOf(caller)).fetch(asked);
      if (answer.status !== 429) return answer;
      throw refusal("too-many-sockets", "A hundred follow this log already.");
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

  queue: (batch: MessageBatch, env: Env): Promise<void> => write(batch, env),

  /** By cron. */
  scheduled: async (_: ScheduledController, env: Env): Promise<void> => {
    const days = Number(env.LOG_RETENTION_DAYS ?? DEFAULT_RETENTION);
    if (!(days >= 1)) {
      log.error("LOG_RETENTION_DAYS must be a number of days, 1 or more: nothing is forgotten");
      return;
    }
    const forgotten = await forget(env.LOG, Date.now() - days * 86_400_000);
    if (forgotten > 0) log.info("Old log entries were forgotten", { forgotten, days });
  },
};

export { Tail };

/** What the gateway may ask. */
export class Log extends WorkerEntrypoint<Env> implements LogCalls {
  entries({ caller }: Asker, parameters: LogParameters): Promise<Reply<LoggedEntry[]>> {
    return replying("order log", async () => {
      requireStaff(caller, "order log");
      return readLog(this.env.LOG, realmOf(caller), pageOf(parameters));
    });
  }
}

const tailObject = (env: Env, realm: Realm) => objectIn(env.TAILS, realm);

/** Writes a batch with one statement; what can't be read goes to the dead letters by itself. */
async function write(batch: MessageBatch, env: Env): Promise<void> {
  const readable: { message: Message; entry: LogEntry }[] = [];
  for (const message of batch.messages) {
    try {
      const { caller, event } = openEnvelope(message.body);
      const time = event.time ?? message.timestamp.toISOString();
      const entry = { ...event, realm: realmOf(caller), time };
      readable.push({ message, entry });
    } catch (error) {
      // Whatever is wrong with it, its neighbours in the batch are not to blame.
      await giveBack(message, batch.queue, toProblem(error), env.DEAD_LETTERS);
    }
  }
  const entries = readable.map(({ entry }) => entry);
  await append(env.LOG, entries, Date.now());
  for (const { message } of readable) message.ack();
  await tellFollowers(entries, env);
}

/** Should they not hear of it, they do with the next batch. */
async function tellFollowers(entries: readonly LogEntry[], env: Env): Promise<void> {
  const realms = new Map(
    entries.map(({ realm }) => [`${realm.jurisdiction ?? ""} ${realm.tenant}`, realm]),
  );
  const told = await Promise.allSettled(
    [...realms.values()].map(async (realm) => tailObject(env, realm).poke()),
  );
  for (const result of told) {
    if (result.status === "rejected") {
      log.error("The log's followers could not be told", { error: result.reason });
    }
  }
}
