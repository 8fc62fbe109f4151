/**
 * What a transition asks for, as plain data. `key` is a number that is never given out twice in an
 * instance's life: it names one actor, or one outgoing message, for ever. `path` leads from the
 * instance's machine to the child machine that asks, by the names of the logics; empty for its own.
 */
export type Effect =
  | {
      type: "timer.set";
      key: number;
      owner: number;
      target: number;
      id: string;
      delay: number;
      event: MachineEvent;
    }
  | { type: "timer.cancel"; owner: number; id: string }
  | { type: "timer.cancelAll"; owner: number }
  | { type: "actor.start"; key: number; id: string; src: string; input: unknown; path: string[] }
  | { type: "actor.stop"; key: number }
  | { type: "command"; key: number; name: string; params: unknown; path: string[] }
  | { type: "emit"; key: number; event: MachineEvent }
  | { type: "log"; message: string };

/** An event as the machine sees it. */
export interface MachineEvent {
  type: string;
  [property: string]: unknown;
}
