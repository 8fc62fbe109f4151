import type { Library } from "./library.ts";

/** The support's bindings. None of them sends an event: what it knows of orders it reads with the asker's token. */
export interface SupportEnv {
  LIBRARIES: DurableObjectNamespace<Library>;
  SUPPORT_DOCUMENTS: Queue;
  DEAD_LETTERS: Queue;
  /** Used by order.ts alone, which can only read. */
  ORCHESTRATOR: Fetcher;
  /** In production, both or neither: embeddings and text, and the index of what the embeddings find. */
  AI?: Pick<Ai, "run">;
  DOCUMENT_VECTORS?: Pick<Vectorize, "query" | "upsert" | "deleteByIds">;
}
