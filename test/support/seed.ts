import * as fc from "fast-check";

/**
 * The seed of all random histories: the same on every run, so that CI never rolls dice. Another is
 * tried with `DURACHART_SEED=<number> npx vitest run --project node`. A failure prints its own.
 */
fc.configureGlobal({ seed: Number(process.env["DURACHART_SEED"] ?? 20_261_122) });
