import { defaultLimits } from "../../src/index.ts";

/** The limits of the Worker under test. Tests alter them: they share its isolate. */
export const limits = { ...defaultLimits };

/** For before each test. */
export function resetLimits(): void {
  Object.assign(limits, defaultLimits);
}
