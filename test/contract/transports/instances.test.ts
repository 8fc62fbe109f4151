import { instanceOutbox } from "../outboxes.ts";
import { transportContract } from "../suite.ts";

transportContract({
  name: "another instance",
  workflow: "to-instances",
  order: { isKept: true, because: "the next is sent when the one before is committed there" },
  outbox: instanceOutbox,
  origin: /^instance:to-instances\//,
  sixteen: "of an instance",
});
