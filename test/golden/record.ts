import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import { look, make, recordings, run, type Recording } from "./golden.ts";
import { stories, workflowOf } from "./stories.ts";
import { workflows } from "../../machines/index.ts";

/** `node test/golden/record.ts`: records the stories of the newest versions, as far as they are not yet. */
for (const [key, { version }] of registerWorkflows(workflows)) {
  for (const [name, story] of Object.entries(stories[key as keyof typeof stories] ?? {})) {
    const path = join(recordings, `${key} ${version} ${name}.json.gz`);
    if (existsSync(path)) continue;
    const { order } = run(workflowOf(key), story.answers);
    const after: Recording["after"] = [];
    for (const move of story.moves) {
      await make(order, move);
      after.push({ seen: await look(order), stored: order.dump(), now: order.now });
    }
    mkdirSync(recordings, { recursive: true });
    const recording: Recording = { workflow: key, version, ...story, after };
    writeFileSync(path, gzipSync(JSON.stringify(recording), { level: 9 }));
    console.log(`Recorded ${path}`);
  }
}
