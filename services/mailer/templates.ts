import type { MailTemplates, MailWanted } from "../contracts/mail.ts";
import { html, oneLine, type Markup } from "./markup.ts";

/** A mail but for whom it is for. */
export interface ComposedMail {
  /** One line. */
  subject: string;
  text: string;
  html: string;
}

const SHOP = "Tropical Pizza";

/** Characters of a subject, and of a value within a mail. */
const MOST_SUBJECT = 150;
const MOST_VALUE = 500;

/** What a template makes of its values, which are lines already: each paragraph is a text. */
interface Letter {
  subject: string;
  /** What stands large above it. */
  heading: string;
  paragraphs: string[];
  /** Names and values, one below the other. */
  facts?: [name: string, value: string][];
}

const templates: { [Name in keyof MailTemplates]: (values: MailTemplates[Name]) => Letter } = {
  "confirm-address": ({ code }) => ({
    subject: `Confirm your registration at ${SHOP}`,
    heading: "One more step",
    paragraphs: [
      "Somebody has registered with your address. If it was you, enter this code within the hour, together with the password that you chose.",
      "If it wasn't you, you needn't do anything: without the code nothing comes of it. Give it to nobody, nobody of ours will ever ask you for it.",
    ],
    facts: fact("Code", code),
  }),
  "already-registered": () => ({
    subject: `You have an account at ${SHOP}`,
    heading: "You have an account already",
    paragraphs: [
      "Somebody tried to register with your address. Nothing has changed: if it was you, log in with the password that you have.",
      "If it wasn't you, you needn't do anything.",
    ],
  }),
  welcome: ({ name }) => ({
    subject: `Welcome to ${SHOP}${isFitToGreet(name) ? `, ${name}` : ""}`,
    heading: `Welcome${isFitToGreet(name) ? `, ${name}` : ""}!`,
    paragraphs: [
      "Your account is ready: you can log in and order at once.",
      "If it wasn't you who registered, you needn't do anything.",
    ],
  }),
  "order-confirmed": ({ order, items, total }) => ({
    subject: `We have your order${named(order)}`,
    heading: "Thank you for your order!",
    paragraphs: ["It is confirmed and on its way to the kitchen."],
    facts: [...fact("Order", order), ["Pizzas", String(items)], ["Total", total]],
  }),
  "order-delivered": ({ order }) => ({
    subject: `Your order${named(order)} was delivered`,
    heading: "Enjoy your meal!",
    paragraphs: ["Your order was delivered."],
    facts: fact("Order", order),
  }),
  "order-cancelled": ({ order, reason }) => ({
    subject: `Your order${named(order)} was cancelled`,
    heading: "Your order was cancelled",
    paragraphs: ["Nothing more will happen with it."],
    facts: [...fact("Order", order), ...fact("Reason", reason)],
  }),
};

/**
 * Whoever registers chooses the name, and whom the mail goes to: what readers of mail would make a link of
 * is not sent to strangers in the shop's name.
 */
function isFitToGreet(name: string): boolean {
  if (name === "" || name.length > 60 || /[/\\:]/.test(name)) return false;
  return !name.includes(".") || /^[^@\s]+@[^@\s]+$/.test(name);
}

/**
 * Likewise an order's id and the reason of its end are the customer's words, and her address is what she
 * says it is.
 */
function isFitToSay(text: string): boolean {
  return !/[/\\@]|[^\s\d][.:]\S/.test(text);
}

const named = (order: string): string => (isFitToSay(order) ? ` ${order}` : "");

const fact = (name: string, value: string | null): [name: string, value: string][] =>
  value === null ? [] : [[name, isFitToSay(value) ? value : "(not shown)"]];

/** A mail as it is read: whatever the values are, they are text in it, and the subject is one line. */
export function compose({ template, values }: MailWanted): ComposedMail {
  // Which values belong to which template, `MailWanted` says; here that can't be written.
  const write = templates[template] as (values: object) => Letter;
  const letter = write(inLines(values));
  return {
    subject: oneLine(letter.subject, MOST_SUBJECT),
    text: asText(letter),
    html: asHtml(letter).text,
  };
}

function inLines(values: object): object {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === "string" ? oneLine(value, MOST_VALUE) : value,
    ]),
  );
}

function asText({ heading, paragraphs, facts = [] }: Letter): string {
  const told = facts.map(([name, value]) => `${name}: ${value}`);
  const parts = [heading, ...paragraphs, ...(told.length === 0 ? [] : [told.join("\n")])];
  return `${[...parts, `-- \n${SHOP}`].join("\n\n")}\n`;
}

function asHtml({ subject, heading, paragraphs, facts = [] }: Letter): Markup {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${subject}</title>
      </head>
      <body
        style="margin:0;padding:0;background:#fdf6ec;font-family:Helvetica,Arial,sans-serif;color:#3d2c1e"
      >
        <table role="presentation" width="100%" cellpadding="0" cellspacing="0">
          <tr>
            <td align="center" style="padding:32px 16px">
              <table
                role="presentation"
                width="100%"
                cellpadding="0"
                cellspacing="0"
                style="max-width:560px;background:#ffffff;border-radius:12px;overflow:hidden"
              >
                <tr>
                  <td
                    style="background:#e8622c;padding:20px 32px;color:#ffffff;font-size:18px;font-weight:bold"
                  >
                    ${SHOP}
                  </td>
                </tr>
                <tr>
                  <td style="padding:32px;overflow-wrap:anywhere">
                    <h1 style="margin:0 0 16px;font-size:24px;line-height:1.3">${heading}</h1>
                    ${paragraphs.map(
                      (paragraph) =>
                        html`<p style="margin:0 0 16px;font-size:16px;line-height:1.5">
                          ${paragraph}
                        </p> `,
                    )}${facts.length === 0 ? "" : tableOf(facts)}
                  </td>
                </tr>
                <tr>
                  <td style="padding:16px 32px;background:#fbeede;font-size:13px;color:#7a6250">
                    You get this mail because of your account or your order at ${SHOP}.
                  </td>
                </tr>
              </table>
            </td>
          </tr>
        </table>
      </body>
    </html> `;
}

function tableOf(facts: readonly [name: string, value: string][]): Markup {
  return html`<table
    role="presentation"
    cellpadding="0"
    cellspacing="0"
    style="font-size:16px;line-height:1.5"
  >
    ${facts.map(
      ([name, value]) =>
        html`<tr>
          <td style="padding:2px 16px 2px 0;color:#7a6250">${name}</td>
          <td style="padding:2px 0">${value}</td>
        </tr> `,
    )}
  </table> `;
}
