import { instanceOutbox } from "../outboxes.ts";
import { transportContract } from "../suite.ts";

transportContract({
  name: "webhooks, as far as the tenant's object",
  workflow: "by-faulty-webhooks",
  order: { isKept: true, because: "the next is brought when the one before is committed there" },
  outbox: instanceOutbox,
  origin: /^instance:by-faulty-webhooks\//,
  sixteen: "of an instance",
});
