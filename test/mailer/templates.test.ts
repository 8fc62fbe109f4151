import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { MailWanted } from "../../services/contracts/mail.ts";
import { oneLine } from "../../services/mailer/markup.ts";
import { compose } from "../../services/mailer/templates.ts";

const to = { address: "carla@example.test" };

/** Texts as somebody would send who means harm, and any others. */
const hostile = fc.oneof(
  fc.constantFrom(
    `<script>alert(1)</script>`,
    `"><img src=x onerror=alert(1)>`,
    `' onmouseover='alert(1)`,
    `&lt;b&gt;`,
    `</title></td></table><h1>x`,
    `<!--`,
    `a\r\nBcc: all@example.test\r\n\r\n<b>`,
    `a\u2028b\u2029c\u0085d\0e`,
    `\u202Egnp.exe`,
    `\uD800`,
    `https://evil.test`,
    `\${name}`,
  ),
  fc.string({ unit: "binary", maxLength: 700 }),
  fc
    .array(fc.constantFrom("<", ">", '"', "'", "&", "\r", "\n", "a", " "), { maxLength: 40 })
    .map((some) => some.join("")),
);

const mails: fc.Arbitrary<MailWanted> = fc.oneof(
  fc.record({
    template: fc.constant("confirm-address" as const),
    to: fc.constant(to),
    values: fc.record({ code: hostile }),
  }),
  fc.constant({ template: "already-registered" as const, to, values: {} }),
  fc.record({
    template: fc.constant("welcome" as const),
    to: fc.constant(to),
    values: fc.record({ name: hostile }),
  }),
  fc.record({
    template: fc.constant("order-confirmed" as const),
    to: fc.constant(to),
    values: fc.record({ order: hostile, items: fc.nat(), total: hostile }),
  }),
  fc.record({
    template: fc.constant("order-delivered" as const),
    to: fc.constant(to),
    values: fc.record({ order: hostile }),
  }),
  fc.record({
    template: fc.constant("order-cancelled" as const),
    to: fc.constant(to),
    values: fc.record({ order: hostile, reason: fc.option(hostile) }),
  }),
);

/** The tags of a page with their attributes, as a browser's own way of reading makes them of it. */
async function markupOf(html: string): Promise<string[]> {
  const found: string[] = [];
  const rewriter = new HTMLRewriter().on("*", {
    element: ({ tagName, attributes }) =>
      void found.push(`${tagName} ${JSON.stringify([...attributes])}`),
    comments: () => void found.push("comment"),
  });
  await rewriter.transform(new Response(html)).text();
  return found;
}

describe("a mail, whatever its values are,", () => {
  it("has the markup of its template, and a subject of one line", async () => {
    await fc.assert(
      fc.asyncProperty(mails, async (mail) => {
        const harmless = Object.fromEntries(
          Object.entries(mail.values).map(([name, value]) => [
            name,
            typeof value === "string" ? "x" : value,
          ]),
        );
        const { subject, html, text } = compose(mail);
        const plain = compose({ ...mail, values: harmless } as MailWanted);
        expect(await markupOf(html)).toEqual(await markupOf(plain.html));
        expect(subject).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(Array.from(subject).length).toBeLessThanOrEqual(150);
        expect(subject.isWellFormed() && html.isWellFormed() && text.isWellFormed()).toBe(true);
        // No value begins a line of its own: nothing in the text looks like the shop's.
        expect(text.split("\n")).toHaveLength(plain.text.split("\n").length);
      }),
      { numRuns: 500 },
    );
  });

  it("fetches nothing from anywhere, and runs nothing", async () => {
    for (const mail of fc.sample(mails, 50)) {
      for (const tag of await markupOf(compose(mail).html)) {
        expect(tag).not.toMatch(/^(script|img|link|iframe|object|a|form|style) /);
        expect(tag).not.toMatch(/"(src|href|srcset|background|on\w+)"/);
        expect(tag).not.toMatch(/url\(/);
      }
    }
  });
});

describe("each template", () => {
  it.each<[MailWanted, subject: string, told: string[]]>([
    [
      { template: "confirm-address", to, values: { code: "5f0c" } },
      "Confirm your registration at Tropical Pizza",
      ["Code: 5f0c", "together with the password that you chose"],
    ],
    [
      { template: "already-registered", to, values: {} },
      "You have an account at Tropical Pizza",
      ["Nothing has changed"],
    ],
    [
      { template: "welcome", to, values: { name: "Carla & Co <3" } },
      "Welcome to Tropical Pizza, Carla & Co <3",
      ["Welcome, Carla & Co <3!"],
    ],
    [
      { template: "order-confirmed", to, values: { order: "o-1", items: 2, total: "23.80 EUR" } },
      "We have your order o-1",
      ["Order: o-1", "Pizzas: 2", "Total: 23.80 EUR"],
    ],
    [
      { template: "order-delivered", to, values: { order: "o-1" } },
      "Your order o-1 was delivered",
      ["Order: o-1"],
    ],
    [
      { template: "order-cancelled", to, values: { order: "o-1", reason: "no oven" } },
      "Your order o-1 was cancelled",
      ["Order: o-1", "Reason: no oven"],
    ],
    [
      { template: "order-cancelled", to, values: { order: "o-1", reason: null } },
      "Your order o-1 was cancelled",
      ["Order: o-1"],
    ],
  ])("%j says what it is about, in text and HTML", (mail, subject, told) => {
    const composed = compose(mail);
    expect(composed.subject).toBe(subject);
    for (const one of told) expect(composed.text).toContain(one);
    const values = Object.values(mail.values).filter((value) => value !== null);
    for (const value of values) {
      const escaped = String(value).replace("&", "&amp;").replace("<", "&lt;");
      expect(composed.html).toContain(escaped);
    }
    if (mail.template === "order-cancelled" && mail.values.reason === null) {
      expect(composed.text + composed.html).not.toMatch(/Reason|null/);
    }
  });
});

it.each(["https://evil.test", "evil.test", "//evil.test", "x".repeat(61), "", "a.b c@d"])(
  "A welcome does not carry the name %j to whom it doesn't belong",
  (name) => {
    const { subject, text } = compose({ template: "welcome", to, values: { name } });
    expect(subject).toBe("Welcome to Tropical Pizza");
    expect(text).toMatch(/^Welcome!\n/);
  },
);

it("A line that is too long is cut between characters", () => {
  expect(oneLine("🍕".repeat(10), 5)).toBe("🍕🍕🍕🍕…");
  expect(oneLine("🍕".repeat(5), 5)).toBe("🍕".repeat(5));
});

describe("what a customer has written herself, whose address nobody has verified", () => {
  const to = { address: "stranger@example.test" };

  it.each(["see https://evil.test/x", "www.evil.test", "write to a@evil.test", "evil.test now"])(
    "is not sent as a link: %s",
    (said) => {
      const values = { order: "o-17", reason: said };
      const mail = compose({ template: "order-cancelled", to, values });
      expect(JSON.stringify(mail)).not.toContain("evil");
      expect(mail.text).toContain("o-17");
    },
  );

  it.each(["order-confirmed", "order-delivered", "order-cancelled"] as const)(
    "is no link as an order's id in %s",
    (template) => {
      const values = { order: "www.evil.test", items: 1, total: "1.00 EUR", reason: null };
      const mail = compose({ template, to, values } as MailWanted);
      expect(JSON.stringify(mail)).not.toContain("evil");
    },
  );

  it("is sent where it is none", () => {
    const reason = "Sorry, I ordered at 12:30. Too late!";
    const values = { order: "o-17", reason };
    expect(compose({ template: "order-cancelled", to, values }).text).toContain(reason);
  });
});
