import colors from "picocolors";
import type { Product } from "../../services/contracts/catalog.ts";
import type { RoomSummary } from "../../services/contracts/chat.ts";
import type { MailboxEntry } from "../../services/contracts/mail.ts";
import type { SupportAnswer } from "../../services/contracts/support.ts";

/** Asks the shop, and throws where it refuses. */
type Ask = <Body>(
  who: "customer" | "staff",
  method: string,
  path: string,
  body?: object,
) => Promise<Body>;

/** How long anything may take that comes by a queue, in milliseconds. */
const PATIENCE = 20_000;

const line = (name: string, said: string) =>
  console.log(`  ${colors.cyan(name.padEnd(16))} ${said}`);

/** What the services around an order have to say of it: each a Worker of its own. */
export async function showAround(ask: Ask, order: string): Promise<void> {
  console.log(colors.bold(`\nAround order ${order}: the rest of the fleet`));
  const { products } = await ask<{ products: Product[] }>(
    ...(["customer", "GET", "/api/catalog/products?q=mango"] as const),
  );
  const [mango] = products;
  const stock = `/api/catalog/products/${mango!.id}/stock`;
  const { onHand } = await ask<{ onHand: number }>("staff", "GET", stock);
  line("catalog", `${mango!.name}: ${mango!.description} ${onHand} left`);

  const said = { id: "m-1", text: "It was delicious!" };
  await ask("customer", "POST", `/api/chat/orders/${order}/messages`, said);
  const whole = await ask<{ chat: { value: RoomSummary } }>(
    ...(["customer", "GET", `/api/orders/${order}`] as const),
  );
  const { last } = whole.chat.value;
  line("chat", `${last!.seq}. ${last!.from.part}: ${last!.text}`);

  const question = { question: "Is it still possible to cancel after I have confirmed?" };
  const answer = await eventually(
    () => ask<SupportAnswer>("customer", "POST", "/api/support/questions", question),
    ({ known }) => known,
    3_500,
  );
  line("support", question.question);
  line("", colors.dim(`${answer.sources[0]!.title}: “${answer.sources[0]!.quote}”`));

  const mails = await eventually(
    async () => (await ask<{ mails: MailboxEntry[] }>("staff", "GET", "/api/mailbox")).mails,
    (found) => found.some(({ subject }) => subject.includes("delivered")),
    200,
  );
  for (const { to, subject } of mails.toReversed()) line("mailer", `${to}: ${subject}`);
}

async function eventually<Value>(
  look: () => Promise<Value>,
  isThere: (value: Value) => boolean,
  pause: number,
): Promise<Value> {
  const until = performance.now() + PATIENCE;
  for (;;) {
    const value = await look();
    if (isThere(value)) return value;
    if (performance.now() > until) throw new Error(`It never came: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
