import * as v from "valibot";
import { jurisdictions } from "../contract/realm.ts";

/** Where the platform is to keep data; absent: anywhere. */
export const jurisdiction = v.optional(v.picklist(jurisdictions));
