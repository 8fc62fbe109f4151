/** Whose token a request brings. */
export type Role =
  "customer" | "other" | "service" | "operator" | "administrator" | "letters" | "nobody";

/** A request, before it has an address and a token. */
export interface Ask {
  /** The tenant's place in the population. */
  tenant: number;
  /** Null: without a token. */
  as: Role | null;
  method: string;
  /** With the query; as it goes over the wire. */
  path: string;
  headers: readonly (readonly [string, string])[];
  body?: Buffer;
  /** With a key of its own, and its body lost, it would be a good request. */
  isKeyless?: boolean;
  /** The whole text on a connection of its own; method, path, headers and body are then but what it is made of. */
  raw?: Raw;
}

/** What no HTTP client would send. */
export interface Raw {
  /** Which kind of nonsense it is. */
  kind: string;
  bytes: Buffer;
  /** Whether the other side must answer or hang up, or is left in the middle. */
  end: "wait" | "cut";
  /** A socket was asked for: what is sent once it is open. */
  frames?: Buffer[];
}

export interface Answer {
  status: number;
  headers: ReadonlyMap<string, string>;
  text: string;
  /** No answer was waited for. */
  cut?: boolean;
  /** The runtime's own HTTP layer refused it: no Worker has seen it. */
  byRuntime?: boolean;
}

const escape = (bytes: Buffer): string =>
  [...bytes]
    .map((byte) => {
      const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x27 && byte !== 0x5c;
      return isPlain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
    })
    .join("");

const MOST_SHOWN = 4_000;

/** A line that sends it once more. `$ROLE_TENANT` stands for the token. */
export function asCurl(base: URL, ask: Ask): string {
  if (ask.raw !== undefined) {
    const parts = [ask.raw.bytes, ...(ask.raw.frames ?? [])];
    const text = escape(Buffer.concat(parts)).slice(0, MOST_SHOWN);
    return `printf '%b' $'${text.replaceAll("\\", "\\\\")}' | nc ${base.hostname} ${base.port}`;
  }
  const headers = ask.headers.map(
    ([name, value]) => `-H $'${escape(Buffer.from(`${name}: ${value}`, "latin1"))}'`,
  );
  const token =
    ask.as === null ? [] : [`-H "Authorization: Bearer $${nameOf(ask.as, ask.tenant)}"`];
  const body =
    ask.body === undefined ? [] : [`--data-binary $'${escape(ask.body).slice(0, MOST_SHOWN)}'`];
  const address = `$'${escape(Buffer.from(`${base.origin}${ask.path}`, "latin1"))}'`;
  return ["curl -i --path-as-is", `-X ${ask.method}`, address, ...token, ...headers, ...body].join(
    " ",
  );
}

function nameOf(role: Role, tenant: number): string {
  return `${role.toUpperCase()}_${tenant}`;
}
