import { decodeJwt } from "jose";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { MailboxEntry } from "../../services/contracts/mail.ts";
import type { Product } from "../../services/contracts/catalog.ts";
import type { SupportAnswer } from "../../services/contracts/support.ts";
import { startEphemeralFleet } from "../../src/cli/fleet.ts";
import { makeSecrets, tokenOf, withAuthService } from "../../src/cli/secrets.ts";
import { mailedCode } from "../../src/cli/sign-up.ts";
import { watch } from "../../src/cli/watch.ts";
import type { JournalEntry, View } from "../../src/contract/view.ts";
import { eventually } from "../support/eventually.ts";
import { Talker } from "../support/talker.ts";

/** All of the shop in one local runtime, its doors opened by its own auth service. */
let fleet: Awaited<ReturnType<typeof startEphemeralFleet>>;
let staff: string;
const secrets = makeSecrets();

beforeAll(async () => {
  fleet = await startEphemeralFleet({ ...secrets, variables: withAuthService(secrets) });
  staff = await tokenOf(fleet.url, secrets.clients.staff);
});
afterAll(() => fleet.close());

async function ask(
  method: string,
  path: string,
  token?: string,
  body?: unknown,
): Promise<Response> {
  return fetch(new URL(path, fleet.url), {
    method,
    headers: {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function call<Body>(...request: Parameters<typeof ask>): Promise<Body> {
  const response = await ask(...request);
  const text = await response.text();
  if (!response.ok) throw new Error(`${request.slice(0, 2).join(" ")}: ${text}`);
  return JSON.parse(text) as Body;
}

const moves = async (station: string, move: string): Promise<boolean> => {
  const response = await ask("POST", `/api/${station}/${move}`, staff);
  await response.body?.cancel();
  return response.ok;
};

it(
  "A customer's whole way: from her registration to the mail that says enjoy",
  { timeout: 60_000 },
  async () => {
    const email = "journey@example.test";
    const who = { username: email, password: "mango tango" };
    expect((await ask("POST", "/auth/register", undefined, who)).status).toBe(202);
    expect((await ask("POST", "/auth/login", undefined, who)).status).toBe(401);
    const confirmation = {
      code: await mailedCode(fleet.url, staff, email),
      password: who.password,
    };
    await call("POST", "/auth/confirm", undefined, confirmation);
    const { access_token: token } = await call<{ access_token: string }>(
      ...(["POST", "/auth/login", undefined, who] as const),
    );
    const { sub: user = "" } = decodeJwt(token);

    // What follows her registration goes on by itself.
    const registration = await eventually(
      async () => {
        const response = await ask("GET", `/registrations/${user.replace("user:", "")}`, token);
        return response.ok ? ((await response.json()) as View) : null;
      },
      (view) => view?.status === "done",
    );
    expect(registration).toMatchObject({ state: "complete" });
    const { avatar } = registration!.context as { avatar: string };
    const isPng = async (path: string) => {
      const response = await ask("GET", path, token);
      expect([response.status, response.headers.get("content-type")]).toEqual([200, "image/png"]);
      const bytes = new Uint8Array(await response.arrayBuffer());
      expect([...bytes.slice(0, 4)]).toEqual([0x89, 0x50, 0x4e, 0x47]);
    };
    await isPng(avatar);

    const { products } = await call<{ products: Product[] }>(
      ...(["GET", "/api/catalog/products?q=mang", token] as const),
    );
    expect(products.map(({ id }) => id)).toEqual(["mango-tango"]);
    const [mango] = products;
    await isPng(mango!.picture!);

    const id = "journey-1";
    const pizza = { type: "ADD_PIZZA", data: { id: "p1", pizza: mango!.id } };
    await call("POST", "/api/orders", token, { id, event: pizza });
    const shown: JournalEntry[] = [];
    const order = await watch(new URL(`/api/orders/${id}/stream?after=0`, fleet.url).href, token, {
      entry: (entry) => shown.push(entry),
    });
    await call("POST", `/api/orders/${id}/events`, token, { type: "CONFIRM_PIZZA" });
    const whole = await call<Record<string, unknown>>("GET", `/api/orders/${id}`, token);
    expect(whole).toMatchObject({
      order: { id },
      products: { status: "ok", value: [{ id: "mango-tango", picture: mango!.picture }] },
      chat: { status: "ok", value: { order: `orders/${id}`, messages: 0 } },
    });

    const customer = await new Talker(fleet.url, id, { token }).open();
    const kitchen = await new Talker(fleet.url, id, { token: staff }).open();
    customer.say("c-1", "Could it be extra crisp?");
    await kitchen.got(1);
    kitchen.say("k-1", "With pleasure.");
    await customer.got(2);
    expect(customer.messages.map(({ seq, text, from }) => [seq, text, from.part])).toEqual([
      [1, "Could it be extra crisp?", "customer"],
      [2, "With pleasure.", "shop"],
    ]);

    const question = { question: "Is it still possible to cancel after I have confirmed?" };
    // What the support knows it reads from a queue.
    await eventually(
      () => call<{ documents: object[] }>("GET", "/api/support/documents", staff),
      ({ documents }) => documents.length >= 24,
    );
    const answer = await call<SupportAnswer>("POST", "/api/support/questions", token, question);
    expect(answer).toMatchObject({ known: true });
    expect(answer.sources[0]?.id).toBe("cancelling");
    const about = { question: "Where is my order?", order: id };
    const own = await call<SupportAnswer>("POST", "/api/support/questions", token, about);
    expect(own.sources.map((source) => source.id)).toContain(`orders/${id}`);

    await eventually(() => moves("kitchen", "begin-next"), Boolean);
    await order.until(({ state }) => JSON.stringify(state).includes("pizzaInOven"));
    await moves("kitchen", "finish-next");
    await eventually(() => moves("delivery", "finish-next"), Boolean);
    await order.until(({ state }) => state === "delivered");
    expect(shown.map(({ seq }) => seq)).toEqual(shown.map((_, index) => index + 1));
    for (const one of [order, customer.socket, kitchen.socket]) one.close();

    const mails = await eventually(
      async () =>
        (await call<{ mails: MailboxEntry[] }>("GET", `/api/mailbox?to=${email}`, staff)).mails,
      ({ length }) => length >= 4,
    );
    const subjects = mails.map(({ subject }) => subject);
    expect(subjects).toHaveLength(4);
    expect(subjects).toContain("Confirm your registration at Tropical Pizza");
    expect(subjects.find((subject) => subject.startsWith("Welcome"))).toContain("journey");
    expect(subjects).toContain(`We have your order ${id}`);
    expect(subjects).toContain(`Your order ${id} was delivered`);
    const { entries } = await call<{ entries: { type: string }[] }>(
      ...(["GET", `/api/log?order=orders/${id}`, staff] as const),
    );
    expect(entries.map(({ type }) => type)).toEqual([
      ...["order.confirmed", "order.baked", "order.delivered"],
    ]);
    expect(await call("GET", "/api/catalog/products/mango-tango/stock", staff)).toMatchObject({
      ...{ onHand: 999, reserved: 0 },
    });
  },
);
