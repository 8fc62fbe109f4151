/** A message that is not delivered yet, as its outbox has it. */
export interface Kept {
  /** Tries so far, the one under way among them. */
  attempt: number;
  /** When it is looked at next, in milliseconds since the epoch; null where it waits for another, or for a person. */
  due: number | null;
  isParked: boolean;
}

/** A tenant's part of the deployment. */
export interface Place {
  tenant: string;
  workflow: string;
  sender: string;
}

/** What is between an instance and a receiver, where messages wait. */
export interface Outbox {
  kept(place: Place): Promise<Kept[]>;
  ring(place: Place): Promise<unknown>;
  /** As if its process died. */
  crash(place: Place): Promise<void>;
  /** What a person is shown of what is parked, beside the dead letters: an error each. */
  shown(place: Place): Promise<string[]>;
}

/** What the suite needs to know of a transport. */
export interface Harness {
  name: string;
  /** The senders' workflow. */
  workflow: string;
  /** Whether messages of an instance to one destination come in their order, and why (not). */
  order: { isKept: boolean; because: string };
  /** Where tries to the other side come from. */
  outbox: Outbox;
  /** Those before it, which fail at nothing. */
  before?: readonly Outbox[];
  /** The other side is there, for a tenant's first so many destinations. */
  prepare?(tenant: string, lanes: number): Promise<void>;
  /** Where its dead letters are from. */
  origin: RegExp;
  /** Who shares sixteen places: an instance's destinations, or the instances at one destination. */
  sixteen: "of an instance" | "at a destination";
}
