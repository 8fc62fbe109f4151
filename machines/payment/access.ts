import type { Access } from "durachart/workflow";

/** The provider tells of all payments and needs to see none. */
export const paymentAccess: Record<string, Access> = {
  provider: { instances: "all" },
};
