import { describe, expect, it } from "vitest";
import { problem } from "../../src/contract/problem.ts";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import { openedBody, protecting } from "../../src/secrets/letters.ts";
import { Unopenable, Vault } from "../../src/secrets/vault.ts";
import { keyringOf } from "../../src/contract/keyring.ts";
import { Revealed } from "../../src/egress/revealed.ts";
import { runInNode } from "../../src/testing/index.ts";
import { cards } from "../support/cards.ts";
import { keys } from "../support/audited.ts";

const number = "4111-1111-1111-CANARY";
const workflows = registerWorkflows({ cards });
const env = { SECRETS_KEYS: keys.first };
const reason = problem("invalid-body", `data.card.number: ${number} is wrong`);
const event = (data: object) => ({
  ...{ specversion: "1.0", id: "1", source: "/till", subject: "cards/a", type: "PAY" },
  ...data,
});
const letter = (data: object) => ({ reason, body: { tenant: "t", event: event(data) } });

describe("a dead letter", () => {
  it.each([
    ["as JSON", { data: { card: { number, holder: "Carla" } } }],
    ["in the place of what should be around it", { data: { card: number } }],
    ["in the place of all", { data: number }],
    ["as bytes", { data_base64: Buffer.from(number).toString("base64") }],
  ])("is filed with its secrets sealed, and is sent again as it came: %s", (_, data) => {
    const came = letter(data);
    const filed = protecting(workflows, env)(came);
    expect(JSON.stringify(filed.body)).toContain("sealed.1.k1.");
    expect(JSON.stringify(filed.body)).not.toContain(number);
    expect(protecting(workflows, env)(filed)).toEqual(filed);
    expect(openedBody(workflows, { SECRETS_KEYS: keys.both }, filed.body)).toEqual(came.body);
  });

  it("says why it died without them", () => {
    const filed = protecting(workflows, env)(letter({ data: { card: { number, holder: "C" } } }));
    expect(filed.reason.detail).toBe("data.card.number: [secret] is wrong");
  });

  it.each(["422", "urn", "invalid-body", "true", '","'])(
    "is filed, whatever they are: %s",
    (secret) => {
      const filed = protecting(
        workflows,
        env,
      )(letter({ data: { card: { number: secret, holder: "C" } } }));
      expect(filed.reason).toMatchObject({ type: reason.type, title: reason.title, status: 422 });
      expect(openedBody(workflows, env, filed.body)).toMatchObject({
        event: { data: { card: { number: secret } } },
      });
    },
  );

  it.each([
    ["no object", { data: { card: false } }],
    ["a number", { data: { card: { number: 4111 } } }],
    ["nothing", { data: { card: { number: null } } }],
    ["a list", { data: { card: [{ number }], how: "charges" } }],
    ["bytes that are none", { data_base64: 4111 }],
  ])("is sent again as it came where there is %s in its place", (_, data) => {
    const came = letter(data);
    const filed = protecting(workflows, env)(came);
    expect(JSON.stringify(filed.body)).not.toMatch(/4111/);
    expect(protecting(workflows, env)(filed)).toEqual(filed);
    expect(openedBody(workflows, env, filed.body)).toEqual(came.body);
  });

  it("says nothing of them in its reason, whatever they stood in", () => {
    for (const data of [
      { data: { card: [{ number }] } },
      { data: { card: { number: [number] } } },
      { data_base64: Buffer.from(JSON.stringify({ card: { number } })).toString("base64") },
    ]) {
      expect(protecting(workflows, env)(letter(data)).reason.detail).not.toContain(number);
    }
  });

  it("is opened by a version that has secret fields before those that it was sealed with", () => {
    const later = (...secrets: string[]) =>
      registerWorkflows({
        cards: {
          ...cards,
          events: { ...cards.events, PAY: { ...cards.events!["PAY"]!, secrets } },
        },
      });
    for (const data of [{ data: { card: number } }, { data: number }]) {
      const came = letter(data);
      const filed = protecting(workflows, env)(came);
      const opened = openedBody(later("card.code", "card.number"), env, filed.body);
      expect(opened).toEqual(came.body);
    }
  });

  it("that was sealed before this way of sealing still opens", () => {
    const address = { tenant: "t", workflow: "cards", id: "a" };
    const vault = new Vault(keyringOf(env, "SECRETS_KEYS")!, address);
    const sealed = vault.seal("PAY.card.number", number);
    for (const [was, is] of [
      [{ card: { number: sealed } }, { card: { number } }],
      [{ card: sealed }, { card: number }],
      [sealed, number],
    ]) {
      expect(openedBody(workflows, env, letter({ data: was }).body)).toEqual(
        letter({ data: is }).body,
      );
    }
    const bytes = letter({ data_base64: vault.seal("PAY.data_base64", "eA==") });
    expect(openedBody(workflows, env, bytes.body)).toEqual(letter({ data_base64: "eA==" }).body);
  });

  it("loses them where there are no keys, and then can't be sent again", () => {
    const filed = protecting(workflows, {})(letter({ data: { card: { number, holder: "C" } } }));
    expect(JSON.stringify(filed)).not.toContain(number);
    expect(() => openedBody(workflows, env, filed.body)).toThrow(Unopenable);
  });

  it("with what JSON can't write in a secret's place is filed without it", () => {
    const deep = () => {
      let list: unknown[] = [number];
      for (let depth = 0; depth < 50_000; depth += 1) list = [list];
      return list;
    };
    for (const data of [{ card: { number: 1n } }, { card: { number: deep() } }, deep()]) {
      const filed = protecting(workflows, env)(letter({ data }));
      expect(JSON.stringify(filed.body)).toContain("sealed.1.none");
    }
  });

  it("of anything else stays as it is", () => {
    const others = [null, 1, {}, { tenant: "t", event: { type: "PAY" } }];
    for (const body of others) {
      expect(protecting(workflows, env)({ reason, body })).toEqual({ reason, body });
    }
  });
});

describe("a sealed text", () => {
  const vault = (id: string) => {
    const address = { tenant: "t", workflow: "cards", id };
    return new Vault(keyringOf(env, "SECRETS_KEYS")!, address);
  };

  it("opens under its own name, in its own instance, and unaltered", () => {
    const sealed = vault("a").seal("PAY.card.number", number);
    expect(vault("a").open("PAY.card.number", sealed)).toBe(number);
    expect(vault("a").seal("PAY.card.number", number)).not.toBe(sealed);
    expect(() => vault("a").open("PAY.card.holder", sealed)).toThrow(Unopenable);
    expect(() => vault("b").open("PAY.card.number", sealed)).toThrow(Unopenable);
    for (const at of [10, 14, 60, 100, sealed.length - 2]) {
      const other = sealed[at] === "A" ? "B" : "A";
      const altered = sealed.slice(0, at) + other + sealed.slice(at + 1);
      expect(() => vault("a").open("PAY.card.number", altered), `${at}`).toThrow(Unopenable);
    }
    for (const none of ["", "sealed.1.", "sealed.1.k1.x.y", "sealed.1.k1..", `${sealed}.x`]) {
      expect(() => vault("a").open("PAY.card.number", none), none).toThrow(Unopenable);
    }
  });
});

describe("what an effect was told", () => {
  it("is published to nothing that stores it", () => {
    const secrets = { reveal: () => ({ name: "PAY.card.number", value: number }) };
    const revealed = new Revealed(secrets, { identity: {} } as never, ["PAY.card.number"]);
    expect(() => revealed.checkKept("webhooks", { number })).not.toThrow();
    expect(revealed.secret("charge", "secret_x")).toBe(number);
    expect(() => revealed.checkKept("webhooks", { number })).toThrow("holds a secret");
    expect(() => revealed.checkKept("webhooks", { last4: "NARY" })).not.toThrow();
  });
});

describe("an instance that the deployment can't run", () => {
  it("keeps a secret as a handle, until it can", async () => {
    const instance = runInNode(cards, { env });
    await instance.start({});
    const { machine } = cards;
    const other = {
      ...cards,
      machine: Object.assign(Object.create(machine) as object, { version: "2" }),
    };
    await instance.deploy(other as never);
    const pay = { type: "PAY", data: { card: { number, holder: "Carla" } } };
    expect(await instance.send(pay, "k")).toMatchObject({ reply: { outcome: "deferred" } });
    expect(await instance.send(pay, "k")).toMatchObject({ reply: { outcome: "duplicate" } });
    expect(JSON.stringify(instance.dump())).not.toContain(number);
    await instance.deploy(cards);
    await instance.advance(20 * 60_000);
    expect((await instance.view()).context["result"]).toEqual({ last4: "NARY" });
  });
});
