import { WorkerEntrypoint } from "cloudflare:workers";
import { Router, type IRequest } from "itty-router";
import * as v from "valibot";
import type { Caller } from "../../src/contract/caller.ts";
import { objectIn } from "../../src/contract/objects.ts";
import { problem, refusal, type Problem } from "../../src/contract/problem.ts";
import { realmOf } from "../../src/contract/realm.ts";
import { readBytes, readOptionalJson } from "../../src/ingress/body.ts";
import { idempotencyKey } from "../../src/ingress/idempotency.ts";
import type { ReceivedEvent } from "../../src/cloudevents/received.ts";
import { readCloudEvents } from "../../src/cloudevents/http.ts";
import { consume, oneByOne, type Deliver } from "../../src/ingress/queue.ts";
import { errorResponse, finish, problemResponse } from "../../src/ingress/respond.ts";
import type { WebhookSettings } from "../../src/ingress/senders.ts";
import type { TokenSettings } from "../../src/ingress/token.ts";
import { authenticateWebhook } from "../../src/ingress/webhook.ts";
import { validate } from "../../src/instance/validate.ts";
import { brokerClass, consuming } from "../../src/rabbitmq/broker.ts";
import { topology } from "../../src/topology.ts";
import type { Asker, Reply } from "../contracts/reply.ts";
import type { Job, Report, StationCalls, StationMove } from "../contracts/stations.ts";
import { admitted, allowancesIn } from "../doors.ts";
import { replying } from "../replying.ts";
import { requireStaff } from "../staff.ts";
import {
  STATION_MEMBERS,
  stationClass,
  type Delivery,
  type StationEnv,
  type StationVocabulary,
} from "./station.ts";

interface Env extends StationEnv, TokenSettings, WebhookSettings {
  STATIONS: DurableObjectNamespace;
  DEAD_LETTERS: Queue;
}

const failure = v.strictObject({
  reason: v.pipe(v.string(), v.minLength(1), v.maxLength(500)),
});
const nothing = v.optional(v.strictObject({}), {});

/**
 * The Worker of a station: a queue brings it jobs, `GET /pending` lists them, and
 * `POST /begin-next`, `/finish-next` and `/fail-next` move the next one on.
 */
export function stationWorker(vocabulary: StationVocabulary) {
  const router = Router<IRequest, [Env]>({
    catch: (error) => errorResponse(error),
    finally: [(response: Response) => finish(response)],
  });

  const guarded =
    (handle: (request: Request, caller: Caller, env: Env) => Promise<Response>) =>
    async (incoming: IRequest, env: Env): Promise<Response> => {
      const request = incoming as unknown as Request;
      const caller = await admitted(request, env);
      requireStaff(caller, vocabulary.name);
      return handle(request, caller, env);
    };

  /** @throws ProblemError invalid-body; not-found where nothing waits */
  const moveNext = async (
    env: Env,
    caller: Caller,
    kind: StationMove,
    given: unknown,
    said: string | undefined,
  ): Promise<Report> => {
    if (kind === "begin" && vocabulary.begins === undefined) {
      throw refusal("not-found", `Nothing is begun in the ${vocabulary.name}.`);
    }
    const data = validate(kind === "fail" ? failure : nothing, given, "");
    const key = said === undefined ? undefined : `http:${caller.subject}:${said}`;
    const moved = await stationOf(env, caller).move(kind, data, key);
    if (moved !== null) return moved;
    throw refusal("not-found", `Nothing is waiting in the ${vocabulary.name}.`);
  };

  const move = (kind: StationMove) =>
    guarded(async (request, caller, env) => {
      const given = await readOptionalJson(request);
      const said = idempotencyKey(request.headers);
      return Response.json(await moveNext(env, caller, kind, given, said));
    });

  /** What the gateway may ask. */
  class Jobs extends WorkerEntrypoint<Env> implements StationCalls {
    pending({ caller }: Asker): Promise<Reply<Job[]>> {
      return replying(vocabulary.name, async () => {
        requireStaff(caller, vocabulary.name);
        return stationOf(this.env, caller).pending();
      });
    }

    move(
      { caller }: Asker,
      kind: StationMove,
      data: unknown,
      key: string | undefined,
    ): Promise<Reply<Report>> {
      return replying(vocabulary.name, async () => {
        requireStaff(caller, vocabulary.name);
        return moveNext(this.env, caller, kind, data, key);
      });
    }
  }

  const only = (method: string) =>
    guarded(async (request) => {
      const detail = `${request.method} is not for this address; it takes ${method}.`;
      return problemResponse(problem("method-not-allowed", detail), { Allow: method });
    });

  router
    .get("/healthz", () => Response.json({ status: "ok" }))
    .get(
      "/pending",
      guarded(async (_request, caller, env) =>
        Response.json({ pending: await stationOf(env, caller).pending() }),
      ),
    )
    .all("/pending", only("GET"))
    .post("/finish-next", move("finish"))
    .all("/finish-next", only("POST"))
    .post("/fail-next", move("fail"))
    .all("/fail-next", only("POST"));
  // What a webhook brings instead of a queue: signed, by a sender of WEBHOOK_SENDERS.
  router
    .post("/events", async (incoming: IRequest, env: Env) => {
      const request = incoming as unknown as Request;
      const body = await readBytes(request);
      const caller = authenticateWebhook(request.headers, body, env);
      await allowancesIn(env).take(caller.tenant, "requests", 1);
      requireStaff(caller, vocabulary.name);
      const arrived = readCloudEvents(request.headers, body);
      if ("batch" in arrived) throw refusal("unsupported-media-type", "Send one event a request.");
      const met = await receive(vocabulary, env, caller, arrived.event);
      return met === null ? new Response(null, { status: 202 }) : problemResponse(met);
    })
    .all("/events", only("POST"));
  if (vocabulary.begins !== undefined) {
    router.post("/begin-next", move("begin")).all("/begin-next", only("POST"));
  }
  router.all(
    "*",
    guarded(async (request) => {
      throw refusal("not-found", `There is nothing at ${new URL(request.url).pathname}.`);
    }),
  );

  const deliver = (env: Env): Deliver =>
    oneByOne((caller, event) => receive(vocabulary, env, caller, event));
  const handlers = {
    fetch: (request: Request, env: Env): Promise<Response> => router.fetch(request, env),
    queue: (batch: MessageBatch, env: Env): Promise<void> =>
      consume(batch, env.DEAD_LETTERS, deliver(env)),
  };
  return {
    ...consuming(handlers, STATION_MEMBERS),
    Jobs,
    Station: stationClass(vocabulary),
    Broker: brokerClass<Env>({
      topology,
      members: STATION_MEMBERS,
      consumes: [{ queue: vocabulary.name, deliver }],
    }),
  };
}

/** A station as its Worker calls it; the platform's own types don't carry `unknown` through RPC. */
interface StationObject {
  receive(delivery: Delivery): Promise<void>;
  pending(): Promise<Job[]>;
  move(kind: StationMove, data: unknown, key: string | undefined): Promise<Report | null>;
}

function stationOf(env: Env, caller: Caller): StationObject {
  const realm = realmOf(caller);
  const name = realm.jurisdiction ? [realm.jurisdiction] : [];
  return objectIn(env.STATIONS, realm, ...name) as unknown as StationObject;
}

async function receive(
  { name, takes, cancels }: StationVocabulary,
  env: Env,
  caller: Caller,
  { source, id, type, subject, data, extensions }: ReceivedEvent,
): Promise<Problem | null> {
  if (type !== takes && type !== cancels) {
    return problem("unknown-event", `The ${name} takes ${takes} and ${cancels}, not "${type}".`);
  }
  if (subject === undefined || !/^[^/]+\/[^/]+$/.test(subject)) {
    return problem("bad-cloudevent", "subject must be {workflow}/{id}.", { field: "subject" });
  }
  const key = `event:${source} ${id}`;
  const { traceparent } = extensions;
  await stationOf(env, caller).receive({
    ...{ key, type, order: subject, data: data ?? null },
    ...(typeof traceparent === "string" ? { trace: traceparent } : {}),
  });
  return null;
}
