import { Router, type IRequest } from "itty-router";
import type { Caller } from "../../src/contract/caller.ts";
import { problem, ProblemError, refusal, type Problem } from "../../src/contract/problem.ts";
import { readJson } from "../../src/ingress/body.ts";
import { originOf, type OriginSettings } from "../../src/ingress/origins.ts";
import { wholeNumber } from "../../src/ingress/query.ts";
import { errorResponse, finish, problemResponse } from "../../src/ingress/respond.ts";
import {
  issueTicket,
  readTicket,
  TICKET_LIFE,
  type TicketSettings,
} from "../../src/ingress/tickets.ts";
import { endOf } from "../../src/ingress/token.ts";
import { validate } from "../../src/instance/validate.ts";
import { admitted, allowancesIn } from "../doors.ts";
import { admit, checkOrderId, personOf, WORKFLOW, type DoorEnv } from "./door.ts";
import { saying, SUBPROTOCOL } from "./frames.ts";
import { MAX_FRAME } from "./limits.ts";
import type { Listening, Room } from "./room.ts";
import { RoomCalls } from "./rooms.ts";

export interface ChatEnv extends DoorEnv, TicketSettings, OriginSettings {
  ROOMS: DurableObjectNamespace<Room>;
  CHAT_DB: D1Database;
}

/**
 * What a ticket of the chat names as its workflow: no workflow is called so. A ticket of the orchestrator's
 * streams, which is signed with the same secret and given without a look at the order, opens nothing here.
 */
const TICKETS_FOR = `chat/${WORKFLOW}`;

const MAX_HISTORY = 500;
const DEFAULT_HISTORY = 100;

/** Where the gateway has the chat. */
const PUBLIC = "/api/chat";

type Handler = (request: Request, id: string, env: ChatEnv) => Promise<Response>;

/** The chat's HTTP and WebSockets, below `/api/chat` of the gateway. */
export const router = Router<IRequest, [ChatEnv]>({
  catch: (error) => errorResponse(error),
  finally: [(response: Response) => finish(response)],
});

const on = (handle: Handler) => (incoming: IRequest, env: ChatEnv) => {
  const { id = "" } = incoming.params as Record<string, string>;
  return handle(incoming as unknown as Request, id, env);
};

const only =
  (...methods: string[]) =>
  async (incoming: IRequest, env: ChatEnv): Promise<Response> => {
    const request = incoming as unknown as Request;
    await admitted(request, env);
    const allow = methods.join(", ");
    const detail = `${request.method} is not for this address; it takes ${allow}.`;
    return problemResponse(problem("method-not-allowed", detail), { Allow: allow });
  };

router
  .get("/orders/:id/messages", on(history))
  .post("/orders/:id/messages", on(say))
  .all("/orders/:id/messages", only("GET", "POST"))
  .get("/orders/:id/stream", on(stream))
  .all("/orders/:id/stream", only("GET"))
  .post("/orders/:id/tickets", on(ticket))
  .all("/orders/:id/tickets", only("POST"))
  .all("*", async (incoming: IRequest, env: ChatEnv) => {
    await admitted(incoming as unknown as Request, env);
    throw refusal("not-found", `There is nothing at ${new URL(incoming.url).pathname}.`);
  });

async function history(request: Request, id: string, env: ChatEnv): Promise<Response> {
  const caller = await admit(request, id, env);
  personOf(caller);
  const query = new URL(request.url).searchParams;
  const after = wholeNumber(query, "after", 0, Number.MAX_SAFE_INTEGER) ?? 0;
  const limit = wholeNumber(query, "limit", 1, MAX_HISTORY) ?? DEFAULT_HISTORY;
  const found = await new RoomCalls(env.ROOMS, caller, id).history(after, limit);
  const next = found.messages.at(-1)?.seq ?? after;
  const link = `<${PUBLIC}/orders/${id}/messages?after=${next}&limit=${limit}>; rel="next"`;
  return Response.json(found, { headers: next < found.last ? { Link: link } : {} });
}

async function say(request: Request, id: string, env: ChatEnv): Promise<Response> {
  const caller = await admit(request, id, env);
  const person = personOf(caller);
  const body = validate(saying, await readJson(request, MAX_FRAME), "");
  const { message, created } = await new RoomCalls(env.ROOMS, caller, id).say(person, body);
  return Response.json(message, { status: created ? 201 : 200 });
}

async function ticket(request: Request, id: string, env: ChatEnv): Promise<Response> {
  const caller = await admit(request, id, env);
  personOf(caller);
  const origin = originOf(request, env);
  const wanted = { caller, workflow: TICKETS_FOR, id, origin, until: endOf(request) };
  return Response.json(
    { ticket: await issueTicket(env, wanted), expiresIn: TICKET_LIFE },
    { status: 201 },
  );
}

/** A page has no token to send: it brings the ticket that it asked for with one. */
async function stream(request: Request, id: string, env: ChatEnv): Promise<Response> {
  const query = new URL(request.url).searchParams;
  const { caller, ...entry } = await entryOf(request, id, query.get("ticket"), env);
  const after = wholeNumber(query, "after", 0, Number.MAX_SAFE_INTEGER) ?? 0;
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    throw refusal("upgrade-required", `Open this address as a WebSocket, protocol ${SUBPROTOCOL}.`);
  }
  const offered = request.headers.get("sec-websocket-protocol");
  if (offered !== null && !offered.split(",").some((name) => name.trim() === SUBPROTOCOL)) {
    throw refusal("bad-parameter", `The only subprotocol is ${SUBPROTOCOL}; offer it, or none.`);
  }
  const listening = { person: personOf(caller), after, ...entry };
  const room = new RoomCalls(env.ROOMS, caller, id);
  // The room gives the place back when the socket ends.
  const response = await allowancesIn(env).openWith(room.home.tenant, entry.until, (place) =>
    room.listen({ ...listening, place }),
  );
  if (response.webSocket === null) throw new ProblemError((await response.json()) as Problem);
  if (offered !== null) return response;
  // A client that offered no subprotocol must not be answered one (RFC 6455, 4.1).
  return new Response(null, { status: 101, webSocket: response.webSocket });
}

async function entryOf(
  request: Request,
  id: string,
  text: string | null,
  env: ChatEnv,
): Promise<Pick<Listening, "until" | "ticket"> & { caller: Caller }> {
  if (text === null) {
    const caller = await admit(request, id, env);
    originOf(request, env);
    return { caller, until: endOf(request) };
  }
  checkOrderId(id);
  const origin = originOf(request, env);
  const good = await readTicket(env, text, { workflow: TICKETS_FOR, id, origin });
  // No token has been shown, at the gateway neither: it is counted here.
  await allowancesIn(env).take(good.caller.tenant, "requests", 1);
  return good;
}
