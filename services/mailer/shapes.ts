import * as v from "valibot";
import type { MailTemplates, MailWanted } from "../contracts/mail.ts";

/** What is shown of it is cut to a line (`oneLine`); more is no mistake to lose a mail for. */
const text = v.pipe(v.string(), v.maxLength(10_000));
/**
 * One address, of any script, and nothing that would make a header two addresses or a name of it (RFC 5322,
 * 3.2.3). Whether somebody reads there, the provider says.
 */
const address = v.pipe(
  v.string(),
  v.maxLength(320),
  v.regex(/^[^\s\p{C}@<>()[\]\\,;:"]+@[^\s\p{C}@<>()[\]\\,;:"]+\.[^\s\p{C}@<>()[\]\\,;:"]+$/u),
);
const to = v.union([
  v.strictObject({ subject: v.pipe(v.string(), v.minLength(1), v.maxLength(200)) }),
  v.strictObject({ address }),
]);

const values = {
  "confirm-address": v.strictObject({ code: text }),
  "already-registered": v.strictObject({}),
  welcome: v.strictObject({ name: text }),
  "order-confirmed": v.strictObject({
    order: text,
    items: v.pipe(v.number(), v.integer(), v.minValue(0)),
    total: text,
  }),
  "order-delivered": v.strictObject({ order: text }),
  "order-cancelled": v.strictObject({ order: text, reason: v.nullable(text) }),
} satisfies { [Name in keyof MailTemplates]: v.GenericSchema<MailTemplates[Name]> };

const wanted = <Name extends keyof typeof values>(name: Name) =>
  v.strictObject({ template: v.literal(name), to, values: values[name] });

/** The data of a `mail.wanted`. */
export const mailWanted: v.GenericSchema<unknown, MailWanted> = v.variant("template", [
  wanted("confirm-address"),
  wanted("already-registered"),
  wanted("welcome"),
  wanted("order-confirmed"),
  wanted("order-delivered"),
  wanted("order-cancelled"),
]);

/** Where a mail may go; what the auth service says is looked at as well. */
export const isAddress = (text: string): boolean => v.is(address, text);
