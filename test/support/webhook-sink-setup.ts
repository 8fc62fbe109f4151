import type { TestProject } from "vitest/node";
import { WebhookSink } from "./webhook-sink.ts";

/** The receiver for tests inside the runtime, which tell it over HTTP what to do (`remote-sink.ts`). */
export async function setup({ config }: TestProject): Promise<() => void> {
  const sink = new WebhookSink();
  await sink.listen(Number(config.env["TEST_SINK_PORT"]));
  return () => sink.close();
}
