/** What was answered, in the end. */
export interface Answer {
  status: number;
  body: unknown;
}

/** Calls the shop as somebody, each request until it is answered: the shop may be down for a while. */
export class Caller {
  /** Answers that never came, or said that the shop is in trouble. */
  static readonly patience = 120_000;
  lost = 0;
  readonly #url: () => string;
  readonly #token: string;
  readonly #random: () => number;

  constructor(url: () => string, token: string, random: () => number) {
    this.#url = url;
    this.#token = token;
    this.#random = random;
  }

  /** @throws Error where nobody answers for two minutes */
  async call(method: string, path: string, body?: object, key?: string): Promise<Answer> {
    const deadline = performance.now() + Caller.patience;
    for (;;) {
      const answer = await this.#once(method, path, body, key);
      if (answer !== null) return answer;
      this.lost += 1;
      if (performance.now() > deadline) throw new Error(`Nobody answers ${method} ${path}.`);
      await new Promise((resolve) => setTimeout(resolve, 50 + this.#random() * 100));
    }
  }

  async get<Body>(path: string): Promise<Body> {
    const { status, body } = await this.call("GET", path);
    if (status !== 200) throw new Error(`${path}: ${status} ${JSON.stringify(body)}`);
    return body as Body;
  }

  async #once(method: string, path: string, body?: object, key?: string): Promise<Answer | null> {
    try {
      const response = await fetch(this.#url() + path, {
        method,
        headers: {
          Authorization: `Bearer ${this.#token}`,
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
          ...(key === undefined ? {} : { "Idempotency-Key": key }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(15_000),
      });
      const text = await response.text();
      // Now and then an answer is lost on its way, after all was done.
      const isLost = key !== undefined && this.#random() < 0.03;
      if (response.status >= 500 || isLost) return null;
      return { status: response.status, body: text === "" ? null : (JSON.parse(text) as unknown) };
    } catch {
      return null;
    }
  }
}
