/** Where in the chart something went wrong. */
export interface Place {
  machine: string;
  state?: string;
}

/**
 * The chart asks for something that can't run durably, or a value that can't be kept. At
 * registration the deployment fails; in a step the step is rolled back. Retrying doesn't help.
 */
export class Unsupported extends Error {
  override name = "Unsupported";
  readonly place: Place;

  constructor(place: Place, what: string, remedy: string) {
    const where = place.state === undefined ? "" : `, state "${place.state}"`;
    super(`Machine "${place.machine}"${where}: ${what}. ${remedy}`);
    this.place = place;
  }
}

/** A guard, an assign or another function of the chart threw; the step is rolled back. */
export class StepFailed extends Error {
  override name = "StepFailed";
  /** What everybody may know of it. */
  readonly outside: string;

  constructor(machine: string, state: string, event: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const outside = `Machine "${machine}", state "${state}", could not take "${event}"`;
    super(`${outside}: ${reason}`, { cause });
    this.outside = `${outside}. Operators are told why.`;
  }
}

/** A stored state doesn't fit the machine of this deployment; it is left untouched. */
export class Quarantined extends Error {
  override name = "Quarantined";
  /** What doesn't fit, without what to do about it. */
  readonly why: string;

  constructor(machine: string, why: string) {
    super(
      `The stored state doesn't fit machine "${machine}": ${why}. It is left untouched; deploy the version it was made with, or migrate it.`,
    );
    this.why = why;
  }
}

/**
 * What an actor or a sink threw, as data: Errors don't survive JSON.
 */
export interface ErrorData {
  name: string;
  message: string;
}

export function toErrorData(error: unknown): ErrorData {
  if (error instanceof Error) return { name: error.name, message: clip(error.message) };
  if (typeof error === "string") return { name: "Error", message: clip(error) };
  try {
    return { name: "Error", message: clip(JSON.stringify(error) ?? String(error)) };
  } catch {
    return { name: "Error", message: Object.prototype.toString.call(error) };
  }
}

function clip(message: string): string {
  return message.length > 2_000 ? `${message.slice(0, 2_000)} …` : message;
}
