/** Thrown by an actor or a named action when trying again can't help. */
export class TerminalError extends Error {
  override name = "TerminalError";
}

/** Told by name: the class may come from another bundle, or over RPC. */
export function isTerminal(error: unknown): boolean {
  return error instanceof Error && error.name === "TerminalError";
}
