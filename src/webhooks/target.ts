import { refusal } from "../contract/problem.ts";

export interface TargetSettings {
  /**
   * Origins that are allowed though they are local, for development and tests: exact, separated by
   * commas, such as `http://127.0.0.1:9000`. Unset in production.
   */
  WEBHOOK_LOCAL_TARGETS?: string;
}

const MAX_URL = 2_000;

/** Names that are never anybody's on the internet (RFC 6761, RFC 6762, RFC 8375, ICANN on `internal`). */
const LOCAL_NAMES = ["localhost", "local", "internal", "home.arpa", "localdomain", "onion"];

/**
 * An endpoint's address as it will be called: https, a public name, port 443 or at least 1024. Names that
 * resolve to private addresses are kept out by the flag `global_fetch_strictly_public`, not here.
 *
 * @throws ProblemError invalid-body with the field `url`
 */
export function checkTarget(text: string, { WEBHOOK_LOCAL_TARGETS = "" }: TargetSettings): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || text.length > MAX_URL) {
    throw wrong(`It must be an absolute URL of at most ${MAX_URL} characters.`);
  }
  if (url.username !== "" || url.password !== "") throw wrong("It must hold no credentials.");
  const local = WEBHOOK_LOCAL_TARGETS.split(",").map((origin) => origin.trim());
  if (local.includes(url.origin)) return url.href;
  if (url.protocol !== "https:") throw wrong("It must be https.");
  if (url.port !== "" && Number(url.port) < 1_024) {
    throw wrong("Its port must be 443, or 1024 and above.");
  }
  // The parser has made every spelling of an IPv4 address the dotted one, and bracketed IPv6.
  const name = url.hostname.replace(/\.$/, "");
  if (name.startsWith("[") || /(^|\.)(\d+|0x[0-9a-f]*)$/i.test(name)) {
    throw wrong("Its host must be a name, not an IP address.");
  }
  const isLocal = LOCAL_NAMES.some((local) => name === local || name.endsWith(`.${local}`));
  if (isLocal || !name.includes(".") || name.endsWith(".")) {
    throw wrong("Its host must be a public name, such as hooks.example.com.");
  }
  return url.href;
}

function wrong(why: string) {
  return refusal("invalid-body", `url can't be an endpoint's. ${why}`, { field: "url" });
}
