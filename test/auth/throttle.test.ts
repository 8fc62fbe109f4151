import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { countLogin, countRegistration, networkOf } from "../../services/auth/throttle.ts";
import { auth, freshAddress, freshName, password, problemOf, settings, user } from "./service.ts";

let now = Date.now();
const advance = (milliseconds: number) => {
  now += milliseconds;
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(now);
};
afterEach(() => vi.useRealTimers());

/** Whether a try is let through now; how many seconds are to be waited if not. */
async function attempt(account: string, address: string): Promise<number> {
  try {
    await countLogin(settings(), account, address, now);
    return 0;
  } catch (error) {
    return (error as { problem: { retryAfter: number } }).problem.retryAfter;
  }
}

describe("logins that fail", () => {
  it("are slowed down after five, ever more: 1 s, 2 s, 4 s … 15 minutes", async () => {
    const [account, address] = [freshName(), freshAddress()];
    for (let tries = 0; tries < 6; tries += 1) expect(await attempt(account, address)).toBe(0);
    const waits = [];
    for (let times = 0; times < 12; times += 1) {
      const wait = await attempt(account, address);
      waits.push(wait);
      advance(wait * 1_000);
      expect(await attempt(account, address)).toBe(0);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    advance(3_600_001);
    for (let tries = 0; tries < 6; tries += 1) expect(await attempt(account, address)).toBe(0);
  });

  it("all at once are counted all", async () => {
    const [account, address] = [freshName(), freshAddress()];
    const waits = await Promise.all(Array.from({ length: 50 }, () => attempt(account, address)));
    expect(waits.filter((wait) => wait === 0)).toHaveLength(6);
  });

  it("from one address, at whatever accounts, are slowed down after twenty", async () => {
    const address = freshAddress();
    for (let tries = 0; tries < 21; tries += 1) expect(await attempt(freshName(), address)).toBe(0);
    expect(await attempt(freshName(), address)).toBe(1);
    // Its neighbours in the /64 are the same; another network isn't.
    expect(await attempt(freshName(), address.replace(/::1$/, "::2"))).toBe(1);
    expect(await attempt(freshName(), freshAddress())).toBe(0);
  });

  it("at one account from everywhere lock out nobody for more than 30 s, and her own place never", async () => {
    const [account, home] = [await user(), freshAddress()];
    const login = { username: account, password };
    expect((await auth.logIn(login, home)).ok).toBe(true);
    let longest = 0;
    for (let tries = 0; tries < 40; tries += 1) {
      const wait = await attempt(account, freshAddress());
      longest = Math.max(longest, wait);
      if (wait > 0) advance(wait * 1_000);
    }
    expect(longest).toBe(30);
    await attempt(account, freshAddress());
    expect(await attempt(account, freshAddress())).toBeGreaterThan(0);
    expect((await auth.logIn(login, home)).ok).toBe(true);
  });

  it("are forgotten with a good one, but an address's own account doesn't wash it clean", async () => {
    const [own, address] = [await user(), freshAddress()];
    advance(0);
    for (let tries = 0; tries < 19; tries += 1) await attempt(freshName(), address);
    expect((await auth.logIn({ username: own, password }, address)).ok).toBe(true);
    expect(await attempt(freshName(), address)).toBe(0);
    expect(await attempt(freshName(), address)).toBe(0);
    expect(await attempt(freshName(), address)).toBe(1);
  });

  it("answer 429 and when to come again, whether there is such a user or not", async () => {
    const [there, not] = [await user(), freshName()];
    const answers = [];
    // The second that is waited for must not pass meanwhile.
    advance(0);
    for (const username of [there, not]) {
      const address = freshAddress();
      for (let tries = 0; tries < 6; tries += 1) expect(await attempt(username, address)).toBe(0);
      answers.push(problemOf(await auth.logIn({ username, password }, address)));
    }
    expect(answers[0]).toMatchObject({ status: 429, retryAfter: 1 });
    expect(answers[1]).toEqual(answers[0]);
  });
});

describe("registrations", () => {
  it("are slowed down after ten from one address", async () => {
    const address = freshAddress();
    const register = () => countRegistration(settings(), address, now);
    for (let tries = 0; tries < 11; tries += 1) await register();
    await expect(register()).rejects.toMatchObject({ problem: { status: 429, retryAfter: 1 } });
  });
});

describe("what is counted", () => {
  it("is stored without names and addresses", async () => {
    const name = freshName();
    await attempt(name, "203.0.113.77");
    const { results } = await env.ACCOUNTS.prepare("SELECT key FROM attempts").all();
    expect(JSON.stringify(results)).not.toMatch(new RegExp(`${name}|203\\.0\\.113|2001`));
  });

  it.each([
    ["203.0.113.7", "203.0.113.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:DB8:0:0:1::", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["not:an:address", "not:an:address"],
  ])("of %s is %s", (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
