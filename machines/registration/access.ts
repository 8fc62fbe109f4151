import type { ContextFrom } from "xstate";
import type { Access } from "durachart/workflow";
import type { registrationMachine } from "./machine.ts";

/** A registration is the new user's, whoever has started it. */
export function registrationOwner({
  context,
}: {
  context: ContextFrom<typeof registrationMachine>;
}): string {
  return context.user;
}

/** The auth service starts them; a user sees her own. */
export const registrationAccess: Record<string, Access> = {
  customer: { instances: "own", sees: ["name", "email", "avatar", "failed"] },
  service: { start: true },
};
