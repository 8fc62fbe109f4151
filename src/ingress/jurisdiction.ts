import * as v from "valibot";

/** Where the platform can keep data (Durable Objects, "Data location"); absent: anywhere. */
export const jurisdiction = v.optional(v.picklist(["eu", "fedramp", "fedramp-high", "us"]));
