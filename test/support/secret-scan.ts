/** Something in a text that looks like a key. */
export interface Suspect {
  line: number;
  what: string;
  text: string;
}

/** What keys look like that have a shape of their own. */
const SHAPES: Record<string, RegExp> = {
  "a PEM private key": /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/,
  "a private JWK": /\\?"d\\?"\s*:\s*\\?"[\w-]{40,}/,
  "a symmetric JWK": /\\?"kty\\?"\s*:\s*\\?"oct\\?"/,
  "a webhook's key": /whsec_[A-Za-z0-9+/]{24,}/,
  "an AWS access key": /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/,
  "a Cloudflare token": /\b(?:cfut|cfat|cfk)_[\w-]{30,}|\bv1\.0-[0-9a-f]{24}-[0-9a-f]{100,}/,
  "a GitHub token": /\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_\w{60,}/,
  "an npm token": /\bnpm_[A-Za-z0-9]{36}\b/,
  "a Slack token": /\bxox[abprs]-[\w-]{10,}/,
  "a Stripe key": /\b[rs]k_live_[A-Za-z0-9]{20,}/,
  "a signed token": /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}/,
  "a password in an address":
    /\b(?:amqps?|https?):\/\/[\w.-]+:(?!password@|guest@|pass@)[^\s:@/$<{]{6,}@/,
};

/** 32 bytes have 43 characters as base64, 64 as hexadecimal. */
const WORD = /[A-Za-z0-9+_/-]{43,}={0,2}/g;

/** Bits a character: base64 of 32 random bytes has less but once in three hundred times. */
const LEAST_ENTROPY = 4.5;

/** All suspects in a text. What random bytes look like is told by how many different characters there are. */
export function suspectsIn(text: string, { entropy = true } = {}): Suspect[] {
  const found: Suspect[] = [];
  for (const [index, content] of text.split("\n").entries()) {
    for (const [what, shape] of Object.entries(SHAPES)) {
      const [match] = shape.exec(content) ?? [];
      if (match !== undefined) found.push({ line: index + 1, what, text: match.slice(0, 60) });
    }
    if (!entropy) continue;
    for (const [word] of content.matchAll(WORD)) {
      if (!looksRandom(word)) continue;
      found.push({ line: index + 1, what: "random bytes", text: word.slice(0, 60) });
    }
  }
  return found;
}

function looksRandom(word: string): boolean {
  const kinds = [/[a-z]/, /[A-Z]/, /\d/].filter((kind) => kind.test(word));
  return kinds.length === 3 && entropyOf(word) >= LEAST_ENTROPY;
}

function entropyOf(word: string): number {
  const counts = [...Map.groupBy(word, (one) => one).values()].map(({ length }) => length);
  return -counts.reduce((sum, n) => sum + (n / word.length) * Math.log2(n / word.length), 0);
}
