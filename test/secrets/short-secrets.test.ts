import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { runInNode } from "../../src/testing/index.ts";
import { keys } from "../support/audited.ts";
import { cards } from "../support/cards.ts";

const env = () => ({ SECRETS_KEYS: keys.first });
const pay = (code: string) => ({ type: "PAY", data: { card: { number: code, holder: "Carla" } } });

const anything = v.looseObject({});

/** A workflow that takes the three digits on the back of a card. */
const short = {
  ...cards,
  events: {
    PAY: { ...cards.events!["PAY"]!, schema: anything },
    TOKEN: { ...cards.events!["TOKEN"]!, schema: anything },
  },
  effects: {
    ...cards.effects,
    actors: {
      charge: {
        attempts: 1,
        secrets: ["PAY.card.number"],
        run: ({
          input,
          secret,
        }: {
          input: { card: string };
          secret: (handle: string) => string;
        }) => {
          const code = secret(input.card);
          const answers: Record<string, unknown> = { "666": { code }, "667": `is ${code}.` };
          return Promise.resolve(
            answers[code] ?? {
              charge: `ch_3P${code}Xy`,
              amount: Number(code),
              [`a${code}`]: "MTIzX",
            },
          );
        },
      },
    },
  },
} as never;

describe("a short secret", () => {
  const began = async () => {
    const instance = runInNode(short, { env: env() });
    await instance.start({});
    return instance;
  };

  it("that stands by chance within what a provider answers fails no payment", async () => {
    const instance = await began();
    await instance.send(pay("123"));
    expect((await instance.view()).context["result"]).toEqual({
      ...{ charge: "ch_3P123Xy", amount: 123, a123: "MTIzX" },
    });
  });

  it.each(["666", "667"])("comes back in no output by itself: %s", async (code) => {
    const instance = await began();
    await instance.send(pay(code));
    expect((await instance.view()).context["result"]).toMatchObject({ name: "TerminalError" });
  });

  it.each(["409", "422", "urn", "type", "true", "null", '":"', "not-allowed"])(
    "that is part of the problem it met changes nothing of it: %s",
    async (token) => {
      const instance = await began();
      await instance.send(pay("123"));
      const refused = await instance.send({ type: "TOKEN", data: { token } }, "k");
      expect(refused).toMatchObject({
        ok: false,
        problem: { status: 409, type: "urn:durachart:problem:event-not-allowed" },
      });
    },
  );
});
