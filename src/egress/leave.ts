import { log } from "../contract/log.ts";
import { deploymentsObject } from "../contract/objects.ts";

/** How much a destination bears, across all instances. */
export interface DestinationLimit {
  /** Calls under way at once. */
  atOnce?: number;
  perMinute?: number;
}

/** Destination → its limits. Those without any are called freely. */
export type Destinations = Readonly<Record<string, DestinationLimit>>;

export interface LeaveRequest extends DestinationLimit {
  /** Who asks; asking again under the same name holds one place. */
  holder: string;
  /** Milliseconds after which the place is free again even if it is not given back. */
  holdFor: number;
}

/** What a destination's object answers: null for yes, or milliseconds until it is worth asking again. */
export interface Gate {
  enter(request: LeaveRequest): Promise<number | null>;
  leave(holder: string): Promise<void>;
}

/** Milliseconds until a gate that could not be asked is asked again. */
const GATE_DOWN = 5_000;

const FREE = { giveBack: (): Promise<void> => Promise.resolve() };

/**
 * Asks a destination for a place, where the deployment has set limits for it.
 *
 * @throws where limits are set and the binding DESTINATIONS is missing
 */
export async function askLeave(
  env: unknown,
  destinations: Destinations,
  {
    destination,
    holder,
    holdFor,
  }: { destination: string | undefined; holder: string; holdFor: number },
): Promise<{ giveBack(): Promise<void> } | { refused: number }> {
  const limit = destination === undefined ? undefined : destinations[destination];
  if (destination === undefined || limit === undefined) return FREE;
  const { DESTINATIONS } = env as { DESTINATIONS?: DurableObjectNamespace };
  if (DESTINATIONS === undefined) {
    throw new Error(
      `"${destination}" has limits, which the object class Destination keeps: bind it as DESTINATIONS.`,
    );
  }
  const gate = deploymentsObject(DESTINATIONS, destination) as unknown as Gate;
  let refused: number | null;
  try {
    refused = await gate.enter({ ...limit, holder, holdFor });
  } catch (error) {
    // That the gate is down is no failure of who is called: it must not cost a try.
    log.warn("The gate of a destination can't be asked", { destination, error });
    refused = GATE_DOWN;
  }
  if (refused !== null) return { refused };
  return {
    giveBack: async () => {
      try {
        await gate.leave(holder);
      } catch (error) {
        // The place is free again by itself after `holdFor`.
        log.warn("A place at a destination was not given back", { destination, error });
      }
    },
  };
}
