import { createHmac } from "node:crypto";
import * as fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { signedContent } from "../../src/ingress/signed-content.ts";
import { ofStations } from "./events.ts";
import {
  anyPhase,
  JSON_TYPE,
  letters,
  nonsense,
  strangers,
  words,
  type Parts,
  type World,
} from "./parts.ts";

/** CloudEvents that are signed as they should be, about what isn't there or isn't theirs. */
export function signedEvents({ secrets }: World, about: string, path: string): Parts {
  const signer = new Webhook(secrets.webhookSecret);
  return fc
    .record({
      id: letters,
      isRight: fc.integer({ min: 0, max: 9 }).map((one) => one > 0),
      event: fc.oneof(
        {
          weight: 4,
          arbitrary: fc.record({
            subject: fc.constantFrom(...strangers).map((id) => `${about}/${id}`),
            type: fc.constantFrom("CANCEL_ORDER", ...ofStations),
          }),
        },
        {
          weight: 3,
          arbitrary: fc.record({
            subject: anyPhase.map((id) => `${about}/${id}`),
            type: fc.constantFrom("CANCEL_ORDER", "RETRY", "CONFIRM_PIZZA"),
          }),
        },
        { weight: 2, arbitrary: fc.record({ subject: words, type: words, data: nonsense }) },
      ),
    })
    .map(({ id, event, isRight }) => {
      const text = JSON.stringify({ specversion: "1.0", id, source: "//fuzz", ...event });
      const type = "application/cloudevents+json";
      const at = new Date();
      const signature = signer.sign(
        id,
        at,
        signedContent(new Headers({ "Content-Type": type }), text),
      );
      return {
        as: null,
        path,
        body: Buffer.from(text),
        headers: [
          ["Content-Type", type],
          ["webhook-id", id],
          ["webhook-timestamp", String(Math.floor(at.getTime() / 1_000))],
          ["webhook-signature", isRight ? signature : `v1,${id}`],
        ] as const,
      };
    });
}

export function signedHooks({ secrets }: World): Parts {
  return fc
    .record({
      isRight: fc.integer({ min: 0, max: 9 }).map((one) => one > 0),
      body: fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({
            id: letters,
            type: fc.constantFrom("payment.captured", "payment.failed", "payment.refunded"),
            data: fc.record({
              reference: fc.constantFrom(...strangers),
              amount: fc.constantFrom(1, Number.MAX_SAFE_INTEGER),
              currency: fc.constantFrom("eur", "usd"),
            }),
          }),
        },
        {
          weight: 2,
          arbitrary: fc.record({
            id: letters,
            type: words,
            data: fc.record({ reference: words, amount: nonsense }),
          }),
        },
        { weight: 1, arbitrary: nonsense },
      ),
    })
    .map(({ body, isRight }) => {
      const text = JSON.stringify(body);
      const at = Math.floor(Date.now() / 1_000);
      const code = createHmac("sha256", secrets.paymentSecret)
        .update(`${at}.${text}`)
        .digest("hex");
      return {
        ...{ as: null, path: "/hooks/payments", body: Buffer.from(text) },
        headers: [
          JSON_TYPE,
          ["Payment-Signature", `t=${at},v1=${isRight ? code : "0".repeat(64)}`],
        ] as const,
      };
    });
}
