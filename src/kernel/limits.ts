/** A hundred years, in milliseconds. */
export const MAX_DELAY = 3_155_760_000_000;

/** Events that the actors of an instance may send each other in one step. */
export const MAX_DELIVERIES = 10_000;

/** Actors alive at once in an instance, beside its own machine. */
export const MAX_CHILDREN = 1_000;

/** Timers that are set at once in an instance. */
export const MAX_TIMERS = 10_000;
