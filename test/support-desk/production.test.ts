import { describe, expect, it, vi } from "vitest";
import type { SupportEnv } from "../../services/support/env.ts";
import { isProduction } from "../../services/support/vectors.ts";
import { wordsOf } from "../../services/support/words.ts";
import { realmOfOwn } from "../../src/contract/realm.ts";
import { desk } from "./desk.ts";

const documents = [
  { id: "fruit", title: "Fruit", text: "Kiwis come from Italy.\n\nLychees come from Madagascar." },
  { id: "hours", title: "Hours", text: "We open at noon." },
];

/** Stands for Workers AI and Vectorize, of which only the interfaces are known here: it counts letters. */
function production(say: (given: string) => unknown = () => ({ answer: "", passages: [] })) {
  const vectors = new Map<string, { namespace?: string; values: number[] }>();
  const prompts: { role: string; content: string }[][] = [];
  const letters = (text: string) =>
    Array.from("abcdefghijklmnopqrstuvwxyz", (letter) =>
      wordsOf(text).reduce((count, word) => count + word.split(letter).length - 1, 0),
    );
  const state = { isDown: false, isStuck: false, before: async () => {} };
  const AI = {
    run: async (model: string, input: Record<string, unknown>) => {
      if (state.isDown) throw new Error("down");
      if (model === "@cf/baai/bge-m3") return { data: (input["text"] as string[]).map(letters) };
      const messages = input["messages"] as { role: string; content: string }[];
      prompts.push(messages);
      const said = say(messages[1]!.content);
      return { response: typeof said === "string" ? said : JSON.stringify(said) };
    },
  };
  const cosine = (one: readonly number[], other: readonly number[]) => {
    const dot = (a: readonly number[], b: readonly number[]) =>
      a.reduce((sum, value, at) => sum + value * b[at]!, 0);
    return dot(one, other) / Math.sqrt(dot(one, one) * dot(other, other) || 1);
  };
  const DOCUMENT_VECTORS = {
    upsert: async (given: { id: string; namespace?: string; values: number[] }[]) => {
      const { before } = state;
      state.before = async () => {};
      await before();
      for (const { id, ...vector } of given) vectors.set(id, vector);
    },
    deleteByIds: async (ids: string[]) => {
      if (state.isStuck) throw new Error("stuck");
      for (const id of ids) vectors.delete(id);
    },
    query: async (vector: number[], { topK, namespace }: { topK: number; namespace: string }) => ({
      matches: [...vectors]
        .filter(([, one]) => one.namespace === namespace)
        .map(([id, { values }]) => ({ id, score: cosine(vector, values) }))
        .toSorted((one, other) => other.score - one.score)
        .slice(0, topK),
    }),
  };
  const bindings = { AI, DOCUMENT_VECTORS } as never as Parameters<typeof desk>[0];
  return { ...desk(bindings), vectors, prompts, state };
}

describe("with Workers AI and Vectorize", () => {
  it("documents are in the index as often as they are in the library, whatever is repeated", async () => {
    const { teach, submit, deliver, queued, vectors } = production();
    await teach(documents);
    expect(vectors.size).toBe(3);
    for (const { namespace } of vectors.values()) expect(namespace).toMatch(/^[0-9a-f]{64}$/);
    const { id, ...first } = documents[0]!;
    await submit(id, { ...first, text: "Kiwis come from Italy." });
    await deliver([queued[0], queued[0]]);
    expect(vectors.size).toBe(2);
    await submit(id, null);
    await deliver(queued);
    expect(vectors.size).toBe(1);
  });

  it("what the library took before the index failed is indexed when the message comes again", async () => {
    const { submit, deliver, queued, vectors, state } = production();
    const { id, ...first } = documents[0]!;
    await submit(id, first);
    state.isDown = true;
    expect((await deliver(queued)).retryMessages).toHaveLength(1);
    expect(vectors.size).toBe(0);
    state.isDown = false;
    expect((await deliver(queued, 2)).explicitAcks).toHaveLength(1);
    expect(vectors.size).toBe(2);
  });

  it("what the library removed before the index failed is removed when the message comes again", async () => {
    const { teach, submit, deliver, queued, vectors, state } = production();
    await teach(documents);
    await submit("fruit", null);
    state.isStuck = true;
    expect((await deliver(queued)).retryMessages).toHaveLength(1);
    expect(vectors.size).toBe(3);
    state.isStuck = false;
    expect((await deliver(queued, 2)).explicitAcks).toHaveLength(1);
    expect(vectors.size).toBe(1);
  });

  it("what must stay in a jurisdiction goes to neither", () => {
    const env = { AI: {}, DOCUMENT_VECTORS: {} } as unknown as SupportEnv;
    expect(isProduction(env, realmOfOwn({ tenant: "a" }))).toBe(true);
    expect(isProduction(env, realmOfOwn({ tenant: "a", jurisdiction: "eu" }))).toBe(false);
    for (const half of [{ AI: {} }, { DOCUMENT_VECTORS: {} }, {}]) {
      expect(isProduction(half as unknown as SupportEnv, realmOfOwn({ tenant: "a" }))).toBe(false);
    }
  });

  it("two versions that are indexed at once leave the vectors of the newer one", async () => {
    const { teach, submit, deliver, queued, vectors, state } = production();
    const { id, ...first } = documents[0]!;
    await teach(documents.slice(1));
    await submit(id, first);
    await submit(id, { ...first, text: "Lychees come from Madagascar." });
    const [older, newer] = queued;
    // The older has been taken; before its vectors are written the newer one comes and goes.
    state.before = async () => void (await deliver([newer]));
    await deliver([older]);
    expect(vectors.size).toBe(2);
    await submit(id, null);
    await submit(id, { ...first, text: "Lychees come from Madagascar." });
    await deliver(queued.slice(2));
    expect(vectors.size).toBe(2);
  });

  it("an answer is shown with the passages that it cites", async () => {
    const { teach, ask, prompts } = production(() => ({ answer: "From Italy.", passages: [1] }));
    await teach(documents);
    expect(await ask("Kiwis come from where?")).toEqual({
      ...{ known: true, answer: "From Italy." },
      sources: [{ id: "fruit", title: "Fruit", quote: "Kiwis come from Italy." }],
    });
    const [system, user] = prompts[0]!;
    expect(system!.role).toBe("system");
    expect(system!.content).not.toContain("Kiwis");
    const given = JSON.parse(user!.content) as { question: string; passages: unknown[] };
    expect(given.question).toBe("Kiwis come from where?");
    expect(given.passages[0]).toEqual({
      ...{ number: 1, title: "Fruit", text: "Kiwis come from Italy." },
    });
  });

  it.each([
    ["no passage", { answer: "I cancelled it.", passages: [] }],
    ["a passage that isn't there", { answer: "I cancelled it.", passages: [99] }],
    ["one that is there, and one that isn't", { answer: "I cancelled it.", passages: [1, 99] }],
    ["what is no number", { answer: "I cancelled it.", passages: ["1"] }],
    ["nothing in the form asked for", "I cancelled it."],
    ["nothing at all", { answer: "", passages: [] }],
    ["without end", { answer: "x".repeat(2_000), passages: [1] }],
  ])("one that cites %s isn't, nor logged: the documents are quoted", async (_, said) => {
    const warnings = vi.spyOn(console, "warn").mockReturnValue();
    const { teach, ask } = production(() => said);
    await teach(documents);
    const { answer, sources } = await ask("Kiwis come from where?");
    expect(warnings).toHaveBeenCalledOnce();
    expect(JSON.stringify(warnings.mock.calls)).not.toMatch(/I canc|xxxx/);
    warnings.mockRestore();
    expect(answer).toBe("Fruit: “Kiwis come from Italy.”");
    expect(sources[0]!.id).toBe("fruit");
  });

  it("while these are down, it is searched by words", async () => {
    const { teach, ask, state } = production();
    await teach(documents);
    state.isDown = true;
    expect((await ask("kiwis")).answer).toBe("Fruit: “Kiwis come from Italy.”");
  });

  it("one tenant's vectors find nothing of another's", async () => {
    const one = production();
    await one.teach(documents);
    const other = production();
    for (const [key, vector] of one.vectors) other.vectors.set(key, vector);
    expect((await other.ask("Kiwis come from where?")).known).toBe(false);
  });
});
