import type { InstanceRequest, Reply } from "./requests.ts";

/** What is wrong with a journal, or with what must agree with it. */
export type ProblemKind =
  /** An entry is not what was sealed. */
  | "altered"
  /** Entries are missing between others, or from the beginning. */
  | "removed"
  /** An entry is there that nobody sealed, and others stand after it. */
  | "inserted"
  /** A sealed entry stands in another's place. */
  | "reordered"
  /** The last entries are missing. */
  | "cut-off"
  /** An entry has no seal, though others before it have. */
  | "unsealed"
  /** It was sealed with a key that this deployment has not. */
  | "unknown-key"
  /** The present state is not what the journal says. */
  | "state"
  /** A state of the past that is kept whole is not what the journal says. */
  | "moment"
  /** An archived part is missing, or can't be read. */
  | "archive"
  /** What is kept of an erased instance is not what was sealed. */
  | "tombstone";

export interface Finding {
  /** The entry, or the last one before what is wrong; 0 for none. */
  seq: number;
  kind: ProblemKind;
  detail: string;
}

/** What a look at an instance's whole journal has found. */
export interface Verification {
  /** `unprotected`: nothing speaks against it, but no entry is sealed. */
  status: "intact" | "broken" | "unprotected";
  epoch: number;
  /** The first sealed entry of this epoch; null where none is. */
  from: number | null;
  /** The last entry. */
  to: number;
  /** The last seal. */
  head: string | null;
  /** Entries looked at, and how many of them are archived. */
  entries: number;
  archived: number;
  /** What the list was told last; null where it knows nothing of it, or there is no list. */
  listed: ListedHead | null;
  /** At most 100, in the order of the entries. */
  problems: Finding[];
}

/** How far the list was told of an instance. */
export interface ListedHead {
  epoch: number;
  seq: number;
  /** Null where it was told no seal. */
  head: string | null;
}

export interface VerifyRequest extends InstanceRequest {
  listed: ListedHead | null;
}

export type VerifyReply = Reply<Verification>;
