import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import type { TestProject } from "vitest/node";

/**
 * An outside issuer's key server, for tests inside the runtime. `PUT /{name}` says what `GET /{name}`
 * answers: `{status, body, delay?}`; `GET /{name}/count` how often that was asked.
 */
export async function setup({ config }: TestProject): Promise<() => void> {
  const answers = new Map<string, { status: number; body: unknown; delay?: number }>();
  const counts = new Map<string, number>();
  const server = createServer((request, response) => {
    void (async () => {
      const [, name = "", detail] = (request.url ?? "").split("/");
      if (request.method === "PUT") {
        answers.set(name, JSON.parse(await text(request)) as never);
        response.writeHead(204).end();
        return;
      }
      if (detail === "count") {
        response.end(String(counts.get(name) ?? 0));
        return;
      }
      counts.set(name, (counts.get(name) ?? 0) + 1);
      const answer = answers.get(name) ?? { status: 404, body: {} };
      if (answer.delay !== undefined) await new Promise((done) => setTimeout(done, answer.delay));
      response.writeHead(answer.status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(answer.body));
    })();
  });
  const port = Number(config.env["TEST_KEY_SERVER_PORT"]);
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return () => {
    server.closeAllConnections();
    server.close();
  };
}
