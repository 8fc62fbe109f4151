/** How long a receiver may take for its whole answer, in milliseconds. */
export const TIMEOUT = 15_000;

/** Characters of an unfriendly answer that are kept, so that its reader sees what it was about. */
const MAX_KEPT = 300;

const LONGEST_WAIT = 3_600_000;

export interface Post {
  url: string;
  headers: Record<string, string>;
  body: string;
}

/** How a try went; `error` is null where the receiver has taken it. */
export interface PostResult {
  /** HTTP; null where no answer came. */
  status: number | null;
  error: string | null;
  /** Milliseconds that the receiver asked us to wait; at most an hour. */
  retryAfter: number | null;
}

/** One try. Redirects are not followed: where they lead nobody has registered. Never throws. */
export async function post({ url, headers, body }: Post): Promise<PostResult> {
  const patience = AbortSignal.timeout(TIMEOUT);
  try {
    const response = await fetch(url, {
      method: "POST",
      redirect: "manual",
      headers,
      body,
      signal: patience,
    });
    const { status } = response;
    if (response.ok) {
      // The status is the receipt; what else it says nobody reads.
      await response.body?.cancel();
      return { status, error: null, retryAfter: null };
    }
    const said = await beginningOf(response);
    const what =
      status >= 300 && status < 400 ? `${status}, a redirect, not followed` : `${status}`;
    return {
      status,
      error: `The endpoint answered ${what}${said === "" ? "" : `: ${said}`}`,
      retryAfter: retryAfter(response.headers, Date.now()),
    };
  } catch (error) {
    const why = patience.aborted
      ? `The endpoint gave no answer within ${TIMEOUT / 1_000} s`
      : `The endpoint could not be reached: ${error instanceof Error ? error.message : String(error)}`;
    return { status: null, error: why, retryAfter: null };
  }
}

async function beginningOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length >= MAX_KEPT) break;
    }
  } catch {
    // An answer that breaks off is still the status that it began with.
  }
  return text.slice(0, MAX_KEPT);
}

/** RFC 9110, section 10.2.3: seconds, or a date. */
function retryAfter(headers: Headers, now: number): number | null {
  const value = headers.get("retry-after");
  if (value === null) return null;
  const wait = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - now;
  return Number.isNaN(wait) ? null : Math.min(LONGEST_WAIT, Math.max(0, wait));
}
