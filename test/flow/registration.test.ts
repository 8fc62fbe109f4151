import { createHash } from "node:crypto";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MailboxEntry } from "../../services/contracts/mail.ts";
import { startEphemeralFleet } from "../../src/cli/fleet.ts";
import { makeSecrets, tenant, tokenOf, withAuthService } from "../../src/cli/secrets.ts";
import { signUp } from "../../src/cli/sign-up.ts";
import type { Letter, ListedLetter } from "../../src/dead-letters/letters.ts";
import type { View } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";

/** The whole shop with its own auth service: what follows when somebody registers. */
let fleet: Awaited<ReturnType<typeof startEphemeralFleet>>;
const secrets = makeSecrets();
let staff: string;

beforeAll(async () => {
  fleet = await startEphemeralFleet({ ...secrets, variables: withAuthService(secrets) });
  staff = await tokenOf(fleet.url, secrets.clients.staff);
});
afterAll(() => fleet.close());

const raw = (path: string, token: string | null, init: RequestInit = {}) =>
  fetch(new URL(path, fleet.url), {
    ...init,
    headers: {
      ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
      ...(init.headers as object | undefined),
    },
  });

async function get<Body>(path: string, token: string): Promise<Body> {
  return (await (await raw(path, token)).json()) as Body;
}

const post = (path: string, token: string | null, body?: unknown) =>
  raw(path, token, {
    method: "POST",
    ...(body === undefined
      ? {}
      : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  });

const mailsTo = async (address: string) =>
  (await get<{ mails: MailboxEntry[] }>(`/api/mailbox?to=${encodeURIComponent(address)}`, staff))
    .mails;

interface Account {
  token: string;
  subject: string;
  address: string;
}

async function registered(): Promise<Account> {
  const address = `carla-${crypto.randomUUID()}@example.test`;
  const login = { username: address, password: "mango tango" };
  const token = await signUp(fleet.url, staff, login);
  return { token, address, subject: decodeJwt(token).sub! };
}

/** As its user sees it. */
const settledUp = ({ token, subject }: Account) =>
  eventually(
    () => get<View>(`/registrations/${subject.replace("user:", "")}`, token),
    ({ status }) => status === "done",
  );

describe("who registers", () => {
  it("is written to once, drawn, and counted; and can log in meanwhile", async () => {
    const account = await registered();
    const { state, context } = await settledUp(account);
    const avatar = `/api/avatars/${encodeURIComponent(account.subject)}`;
    expect({ state, context }).toMatchObject({
      state: "complete",
      context: { avatar, failed: [] },
    });

    const [mail, ...more] = await eventually(
      () => mailsTo(account.address),
      (mails) => mails.length > 1,
    );
    // The other is the one that she confirmed her registration by.
    expect(more.map(({ subject }) => subject)).toEqual([
      "Confirm your registration at Tropical Pizza",
    ]);
    expect(mail).toMatchObject({
      ...{ to: account.address, subject: expect.stringMatching(/^Welcome to /) as string },
      html: expect.stringContaining("<h1") as string,
    });

    const picture = await raw(avatar, account.token);
    expect(picture.status).toBe(200);
    expect(picture.headers.get("content-type")).toBe("image/png");
    expect(picture.headers.get("cache-control")).toBe("private, max-age=86400");
    const bytes = new Uint8Array(await picture.arrayBuffer());
    expect([...bytes.subarray(0, 8)]).toEqual([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
    expect(picture.headers.get("content-length")).toBe(String(bytes.length));
    const etag = picture.headers.get("etag")!;
    const same = await raw(avatar, account.token, { headers: { "If-None-Match": etag } });
    expect(same.status).toBe(304);

    const subject = `registrations/${account.subject.replace("user:", "")}`;
    const logged = await eventually(
      () =>
        get<{ entries: { type: string; subject: string }[] }>(
          `/orderlog/log?order=${subject}`,
          staff,
        ),
      ({ entries }) => entries.some(({ type }) => type === "user.registered"),
    );
    expect(logged.entries.filter(({ type }) => type === "user.registered")).toHaveLength(1);
  });

  it("gets her order's mails where she said, and no others see them", async () => {
    const account = await registered();
    const id = `order-${crypto.randomUUID()}`;
    const event = { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } };
    expect((await post("/orders", account.token, { id, event })).status).toBe(201);
    await post(`/orders/${id}/events`, account.token, { type: "CONFIRM_PIZZA" });
    const mails = await eventually(
      () => mailsTo(account.address),
      (found) => found.some(({ text }) => text.includes(`Order: ${id}`)),
    );
    expect(mails.filter(({ subject }) => subject.includes(id))).toHaveLength(1);
    expect((await raw(`/api/mailbox?to=${account.address}`, account.token)).status).toBe(403);
    expect((await raw("/api/mailbox", null)).status).toBe(401);
  });
});

describe("the mailer's queue", () => {
  const welcome = (address: string, id: string = crypto.randomUUID()) => ({
    tenant,
    event: {
      ...{ specversion: "1.0", id, source: "/test", type: "mail.wanted" },
      data: { template: "welcome", to: { address }, values: { name: "Carla <b>" } },
    },
  });
  const queueOf = async (worker: string, binding: string) =>
    ((await fleet.harness.getWorker(worker).getEnv()) as Record<string, Queue>)[binding]!;
  const fresh = () => `${crypto.randomUUID()}@example.test`;

  it("brings a mail more than once, and it is sent once", async () => {
    const queue = await queueOf("durachart", "MAILS_QUEUE");
    const [address, last] = [fresh(), fresh()];
    const body = welcome(address);
    for (let time = 0; time < 3; time += 1) {
      await queue.sendBatch([{ body }, { body }, { body: welcome(fresh()) }]);
      await eventually(
        () => mailsTo(address),
        (mails) => mails.length > 0,
      );
    }
    await queue.send(welcome(last));
    await eventually(
      () => mailsTo(last),
      (mails) => mails.length > 0,
    );
    const [mail, ...more] = await mailsTo(address);
    expect(more).toEqual([]);
    expect(mail!.html).toContain("Carla &lt;b&gt;");
  });

  it("files what can never be sent, and what was filed can be sent again, once", async () => {
    const poison = crypto.randomUUID();
    await (await queueOf("durachart", "MAILS_QUEUE")).send({ tenant, poison });
    const address = fresh();
    const body = welcome(address);
    const reason = { type: "x", title: "x", status: 422, detail: `refused ${body.event.id}` };
    const dead = await queueOf("durachart-mailer", "DEAD_LETTERS");
    await dead.send({ queue: "mails", reason, attempts: 3, body });

    const letters = await eventually(
      async () =>
        (await get<{ letters: ListedLetter[] }>("/dead-letters?limit=100", staff)).letters.filter(
          ({ origin }) => origin === "queue:mails",
        ),
      (found) => found.length === 2,
    );
    const whole = await Promise.all(
      letters.map(({ id }) => get<Letter>(`/dead-letters/${id}`, staff)),
    );
    expect(JSON.stringify(whole)).toContain(poison);
    const { id } = whole.find(({ reason: { detail } }) => detail === reason.detail)!;
    for (let time = 0; time < 2; time += 1) {
      expect((await post(`/dead-letters/${id}/redrive`, staff)).status).toBe(200);
    }
    await eventually(
      () => mailsTo(address),
      (mails) => mails.length === 1,
    );
    expect((await get<Letter>(`/dead-letters/${id}`, staff)).status).toBe("sent");
  });
});

describe("the mailbox's page", () => {
  it("is open to who has no token, shows nothing by itself, and runs its one script alone", async () => {
    const page = await raw("/mailbox", null);
    expect(page.status).toBe(200);
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const text = await page.text();
    const [, script] = /<script>([^]*)<\/script>/.exec(text)!;
    const hash = createHash("sha256").update(script!).digest("base64");
    const policy = page.headers.get("content-security-policy")!;
    expect(policy).toContain(`default-src 'none'; script-src 'sha256-${hash}';`);
    expect(policy).not.toContain("unsafe-eval");
    expect(page.headers.get("x-frame-options")).toBe("DENY");
    expect(page.headers.get("referrer-policy")).toBe("no-referrer");
    expect(text).not.toContain("example.test");
    // Whatever a mail says stays text, or in a frame that may do nothing.
    expect(script).not.toMatch(/innerHTML|outerHTML|insertAdjacent|document\.write|eval/);
    expect(script).toContain(`frame.setAttribute("sandbox", "")`);
  });

  it.each([
    ["/api/mailbox?to=", 400],
    [`/api/mailbox?to=${"x".repeat(321)}`, 400],
    ["/api/mailbox/more", 404],
    ["/api/avatars", 404],
    ["/api/avatars/user:nobody", 404],
    ["/api/avatars/user:nobody/more", 404],
  ])("and its neighbours say what is wrong with %s", async (path, status) => {
    const answer = await raw(path, staff);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ status, detail: expect.any(String) as string });
  });

  it("takes GET alone", async () => {
    for (const path of ["/api/mailbox", "/api/avatars/user:x"]) {
      expect((await raw(path, staff, { method: "DELETE" })).status).toBe(405);
    }
    expect((await raw("/mailbox", null, { method: "POST" })).status).toBe(401);
  });
});
