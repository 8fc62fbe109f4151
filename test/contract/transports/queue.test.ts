import { instanceOutbox } from "../outboxes.ts";
import { transportContract } from "../suite.ts";

transportContract({
  name: "a Cloudflare queue",
  workflow: "by-queue",
  order: { isKept: false, because: "Cloudflare Queues deliver in no order" },
  outbox: instanceOutbox,
  origin: /^instance:by-queue\//,
  sixteen: "of an instance",
});
