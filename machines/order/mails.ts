import type { MailWanted } from "../../services/contracts/mail.ts";
import type { OrderMessage } from "./order.ts";

/** What a customer is written when something happened to her order; null where she isn't. */
export function mailAbout(
  { type, customer, items, total, reason }: OrderMessage,
  { id: order, startedBy }: { id: string; startedBy: string | null },
): MailWanted | null {
  const subject = customer ?? startedBy;
  if (subject === null) return null;
  const to = { subject };
  switch (type) {
    case "order.confirmed": {
      const price = `${(total.amount / 100).toFixed(2)} ${total.currency}`;
      return { template: "order-confirmed", to, values: { order, items, total: price } };
    }
    case "order.delivered":
      return { template: "order-delivered", to, values: { order } };
    case "order.cancelled":
      return { template: "order-cancelled", to, values: { order, reason } };
    default:
      return null;
  }
}
