/** Where and on whose behalf something happened. Payloads are no part of it, and must not become one. */
export interface LogDetails {
  tenant?: string | undefined;
  workflow?: string | undefined;
  instance?: string | undefined;
  epoch?: number | undefined;
  seq?: number | undefined;
  /** A `traceparent`; the log shows the trace's id. */
  trace?: string | null | undefined;
  error?: unknown;
  [more: string]: unknown;
}

type Level = "info" | "warn" | "error";

/** One line of JSON, which Workers Logs and its like take apart by themselves. */
function write(level: Level, message: string, { trace, error, ...details }: LogDetails): void {
  const line = {
    level,
    message,
    ...details,
    ...(trace ? { trace: trace.split("-")[1] } : {}),
    ...(error === undefined ? {} : { error: errorText(error) }),
  };
  console[level](JSON.stringify(line));
}

function errorText(error: unknown): object | string {
  if (!(error instanceof Error)) return String(error);
  const { name, stack, cause } = error;
  // What JSON.parse can't read it quotes.
  const message = name === "SyntaxError" ? error.message.replace(/".*"/s, "…") : error.message;
  return {
    ...{ name, message, stack: stack?.replace(error.message, () => message) },
    ...(cause === undefined ? {} : { cause: errorText(cause) }),
  };
}

export type Log = (message: string, details?: LogDetails) => void;

export const log: Readonly<Record<Level, Log>> = {
  info: (message, details = {}) => write("info", message, details),
  warn: (message, details = {}) => write("warn", message, details),
  error: (message, details = {}) => write("error", message, details),
};
