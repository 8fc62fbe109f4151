import { instanceOutbox } from "../outboxes.ts";
import { transportContract } from "../suite.ts";

transportContract({
  name: "a service binding",
  workflow: "by-service",
  order: { isKept: true, because: "the next is called when the one before has been answered" },
  outbox: instanceOutbox,
  origin: /^instance:by-service\//,
  sixteen: "of an instance",
});
