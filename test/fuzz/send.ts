import { Agent, request } from "node:http";
import { connect } from "node:net";
import type { Answer, Ask, Raw } from "./ask.ts";
import type { Population } from "./population.ts";

/** Milliseconds after which nobody waits for an answer any more. */
const PATIENCE = 10_000;
/** Milliseconds that a connection which is to be cut off lives. */
const CUT_AFTER = 15;
/** Milliseconds that a socket's answers are listened to when all has been said. */
const LISTENS = 60;

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** @throws Error where there is no answer: none in time, or the connection was reset */
export async function send(base: URL, population: Population, ask: Ask): Promise<Answer> {
  const headers = [...ask.headers];
  if (ask.as !== null) {
    const token = population.tenants[ask.tenant]!.tokens[ask.as];
    headers.push(["Authorization", `Bearer ${token}`]);
  }
  if (ask.raw !== undefined) return sendRaw(base, ask.raw, headers);
  const names = new Set(headers.map(([name]) => name.toLowerCase()));
  headers.push(["Host", base.host]);
  if (ask.body !== undefined && !names.has("content-length") && !names.has("transfer-encoding")) {
    headers.push(["Content-Length", String(ask.body.byteLength)]);
  }
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...{ agent, host: base.hostname, port: base.port, timeout: PATIENCE },
        ...{ method: ask.method, path: ask.path, headers: headers.flat() as never },
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("error", reject);
        response.on("end", () => {
          const answered = Object.entries(response.headers).map(
            ([name, value]) => [name, String(value)] as const,
          );
          const text = Buffer.concat(parts).toString();
          const { statusCode: status = 0 } = response;
          const byRuntime = isByRuntime(new Map(answered), text);
          resolve({
            status,
            headers: new Map(answered),
            text,
            ...(byRuntime ? { byRuntime } : {}),
          });
        });
      },
    );
    outgoing.on("timeout", () => {
      outgoing.destroy(new Error(`There was no answer in ${PATIENCE / 1_000} s.`));
    });
    outgoing.on("error", reject);
    outgoing.end(ask.body);
  });
}

/** Where the token is to stand in a text that no client would send. */
export const TOKEN_PLACE = "Fuzzed-Token: here";

function sendRaw(
  base: URL,
  { bytes, end, frames }: Raw,
  headers: readonly (readonly [string, string])[],
): Promise<Answer> {
  const token = headers.findLast(([name]) => name === "Authorization");
  const whole = replaced(bytes, TOKEN_PLACE, token === undefined ? "X-None: 1" : token.join(": "));
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const socket = connect(Number(base.port), base.hostname);
    let isDone = false;
    const finish = (result: Answer | Error): void => {
      if (isDone) return;
      isDone = true;
      clearTimeout(timer);
      socket.destroy();
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    const heard = () => parseAnswer(Buffer.concat(parts));
    const timer = setTimeout(
      () => {
        if (end === "cut") finish({ ...(heard() ?? nothing()), cut: true });
        else finish(new Error(`There was no answer in ${PATIENCE / 1_000} s.`));
      },
      end === "cut" ? CUT_AFTER : PATIENCE,
    );
    let isOpen = false;
    socket.on("data", (part: Buffer) => {
      parts.push(part);
      if (frames === undefined || isOpen) return;
      const answer = heard();
      if (answer === null) return;
      if (answer.status !== 101) {
        // Who asks for an upgrade can't ask for the connection's end as well.
        if (isWhole(answer)) finish(answer);
        return;
      }
      isOpen = true;
      for (const frame of frames) socket.write(frame);
      setTimeout(() => finish(heard() ?? answer), LISTENS);
    });
    // What is hung up on without a word is an answer, too: to what was no HTTP.
    socket.on("close", () => finish(heard() ?? { ...nothing(), byRuntime: true }));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      const answer = heard();
      if (answer !== null) finish(answer);
      else if (error.code === "ECONNRESET" || error.code === "EPIPE") {
        finish({ ...nothing(), byRuntime: true });
      } else finish(error);
    });
    socket.write(whole);
  });
}

const nothing = (): Answer => ({ status: 0, headers: new Map(), text: "" });

function replaced(bytes: Buffer, place: string, text: string): Buffer {
  const at = bytes.indexOf(place);
  if (at < 0) return bytes;
  return Buffer.concat([
    bytes.subarray(0, at),
    Buffer.from(text),
    bytes.subarray(at + place.length),
  ]);
}

function parseAnswer(bytes: Buffer): Answer | null {
  const text = bytes.toString("latin1");
  const [, status, head, rest] =
    /^HTTP\/1\.1 (\d{3})[^\r]*\r\n([^]*?)\r\n\r\n([^]*)$/.exec(text) ?? [];
  if (status === undefined) return null;
  // A continue comes before the answer.
  if (status === "100") return parseAnswer(bytes.subarray(text.indexOf("\r\n\r\n") + 4));
  const headers = new Map(
    head!.split("\r\n").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  const body = headers.get("transfer-encoding") === "chunked" ? unchunked(rest!) : rest!;
  const length = Number(headers.get("content-length") ?? body.length);
  const shown = Buffer.from(status === "101" ? body : body.slice(0, length), "latin1").toString();
  const byRuntime = isByRuntime(headers, shown);
  return { status: Number(status), headers, text: shown, ...(byRuntime ? { byRuntime } : {}) };
}

function isWhole({ headers, text }: Answer): boolean {
  return Buffer.byteLength(text) >= Number(headers.get("content-length") ?? 1);
}

function unchunked(text: string): string {
  let whole = "";
  for (let at = 0; ;) {
    const [line, size] = /^([0-9a-fA-F]+)\r\n/.exec(text.slice(at)) ?? [];
    const length = Number.parseInt(size ?? "0", 16);
    if (line === undefined || length === 0) return whole;
    whole += text.slice(at + line.length, at + line.length + length);
    at += line.length + length + 2;
  }
}

/** What workerd says to what is no HTTP, before any Worker is asked. */
const ofParser =
  /^(?:invalid (?:HTTP (?:header|method|version)|content-length|URI|Transfer-Encoding)\b[^]{0,60}|URI too long|Bad Request|ERROR: [^]*)$/;

function isByRuntime(headers: ReadonlyMap<string, string>, text: string): boolean {
  const type = headers.get("content-type");
  return (type === undefined || type === "text/plain") && ofParser.test(text);
}

export const hangUp = (): void => agent.destroy();
