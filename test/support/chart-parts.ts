import { assign, type AnyActorRef } from "xstate";

/** Events from outside; charts may do anything on them. */
export const OUTSIDE = ["E0", "E1", "E2", "E3", "x.y", "x.z"];

/** What charts have met while they ran: how much of XState a run has tried. */
export const features = new Set<string>();
export const met = (feature: string): void => void features.add(feature);

/** Named actions that in-memory actors have run, and who; the durable engine never runs one in a step. */
export const ran: { by: string; params: unknown }[] = [];

export interface Context {
  n: number;
  log: string[];
  spawned: number;
  refs: AnyActorRef[];
  got: unknown;
}

export const noted = (what: string) =>
  assign<Context, { type: string }, undefined, never, never>({
    n: ({ context }) => context.n + 1,
    log: ({ context, event }) => [...context.log.slice(-7), `${what}:${event.type}`],
  });

export const modulo = (
  { context }: { context: Context },
  { by, is }: { by: number; is: number },
) => {
  met("guard with params");
  return context.n % by === is;
};

/** A combinator that tells when it is asked. */
export function marking<Guard>(guard: Guard, feature: string): Guard {
  const combinator = guard as { check: (...all: unknown[]) => boolean };
  const { check } = combinator;
  combinator.check = (...all) => {
    met(feature);
    return check(...all);
  };
  return guard;
}

/** Never at the start: a parent that starts it again on its failure would do so for ever. */
export function explode({ event }: { event: { type: string } }): Partial<Context> {
  if (!OUTSIDE.includes(event.type)) return {};
  met("throw in a child");
  throw new Error("it exploded");
}

/** A reference that the context holds, or the actor itself. */
export const lastRef = ({ context, self }: { context: Context; self: unknown }): AnyActorRef =>
  (context.refs.at(-1) ?? self) as AnyActorRef;

export const notHistory = (id: string): boolean => !id.endsWith(".hist");
