import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { root } from "../../src/cli/fleet.ts";
import type { Answer, Ask } from "./ask.ts";
import { hasReached, wrongWith } from "./oracle.ts";

async function run(parameters: string[]): Promise<{ code: number | null; said: string }> {
  const env = { ...process.env, NO_COLOR: "1" };
  const child = spawn(process.execPath, ["test/fuzz/main.ts", ...parameters], { cwd: root, env });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (part: Buffer) => (said += part.toString()));
  }
  const [code] = (await once(child, "close")) as [number | null];
  return { code, said };
}

it.each([
  [["--only", "/nope"], /^No route has "\/nope" in its name.*\n$/],
  [["--requests", "abc"], /^--seed and --requests are whole numbers.*\n$/],
  [["--requests", "0"], /^--seed and --requests are whole numbers.*\n$/],
  [["--seed"], /^Option '--seed <value>' argument missing\n$/],
  [["--seed", "-x"], /^Option '--seed' argument is ambiguous\..*\n$/],
  [["--onyl", "/orders"], /^Unknown option '--onyl'.*\n$/],
])(
  "a command that is mistaken says so in one line, and ends with 2: %j",
  async (parameters, line) => {
    const { code, said } = await run(parameters);
    expect(said).toMatch(line);
    expect(code).toBe(2);
  },
);

// A process of its own: it loads the Workers' modules for their routers, which Vitest would do its own way.
it("a hundred malformed requests for every route find nothing", async () => {
  const seed = process.env["DURACHART_SEED"] ?? "1";
  const parameters = ["--requests", "100", "--seed", seed];
  const { code, said } = await run(parameters);
  expect(code, said).toBe(0);
  expect(said).toContain("nothing found");
  // All routers were found: the orchestrator's, the auth service's, both stations' and the log's.
  for (const route of ["ALL /:workflow/:id/rewind", "POST /auth/revoke", "GET /orderlog/log"]) {
    expect(said).toContain(route);
  }
});

describe("an answer is found wrong", () => {
  const ask: Ask = { tenant: 0, as: null, method: "GET", path: "/orders/x", headers: [] };
  const json = new Map([["content-type", "application/problem+json"]]);
  const problem = (status: number, detail: string, name = "not-found"): Answer => ({
    status,
    headers: json,
    text: JSON.stringify({ type: `urn:durachart:problem:${name}`, title: "T", status, detail }),
  });

  it.each<[string, Answer, RegExp]>([
    ["an internal error", problem(500, "Something went wrong inside.", "internal"), /status 500/],
    ["503 that says nothing of trying again", problem(503, "Busy.", "overloaded"), /status 503/],
    ["429 that says nothing of it", problem(429, "Much.", "too-many-requests"), /Retry-After/],
    ["a stack trace", problem(404, "x\n    at Object.fetch (worker.js:1:2)"), /stack trace/],
    ["a file", problem(404, "in /work/src/index.ts"), /a file's path/],
    ["SQL", problem(409, "D1_ERROR: near x"), /SQL/],
    ["an error's name", problem(422, "TypeError: x is undefined"), /inside/],
    ["no problem document", { status: 404, headers: json, text: "gone" }, /no problem document/],
    ["another status", { ...problem(404, "x"), status: 409 }, /says status 404/],
    [
      "an injected header",
      { ...problem(404, "x"), headers: new Map([["x-injected", "1"]]) },
      /making/,
    ],
    ["no answer", { status: 0, headers: new Map(), text: "" }, /hung up/],
  ])("%s", (_, answer, what) => {
    expect(wrongWith(ask, answer)).toMatch(what);
  });

  it("and a good one isn't", () => {
    expect(wrongWith(ask, problem(404, "There is no orders/x. Start it first."))).toBeNull();
  });

  it("what only an instance says is told from what a door says", () => {
    expect(hasReached(ask, problem(404, "There is no orders/x. Start it first."))).toBe(true);
    expect(hasReached(ask, problem(404, 'There is no workflow "x".'))).toBe(false);
    expect(hasReached(ask, problem(401, "Send one token.", "unauthenticated"))).toBe(false);
    expect(hasReached(ask, problem(409, "Not now.", "event-not-allowed"))).toBe(true);
  });
});
