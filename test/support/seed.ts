/**
 * The seed of all random histories. The same on every run, so that CI never rolls dice; another one is
 * tried with `DURACHART_SEED=<number> npx vitest run --project node`. A failure prints its own seed.
 */
export const SEED = Number(process.env["DURACHART_SEED"] ?? 20_261_122);
