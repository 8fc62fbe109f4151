import { describe, expect, it } from "vitest";
import { Instances } from "../../src/ingress/instances.ts";
import { customer } from "../support/client.ts";

/** A namespace whose stubs fail as the platform's do; a stub that has failed stays broken. */
function failing(errors: (object | null)[]) {
  const calls: number[] = [];
  let stubs = 0;
  const namespace = {
    getByName: () => {
      const stub = stubs++;
      return {
        send: () => {
          calls.push(stub);
          const error = errors[calls.length - 1] ?? null;
          return error === null
            ? Promise.resolve('{"outcome":"applied"}')
            : Promise.reject(Object.assign(new Error("from the platform"), error));
        },
        operate: () => {
          calls.push(stub);
          return Promise.reject(Object.assign(new Error("from the platform"), errors[0]));
        },
      };
    },
  };
  return { instances: new Instances(namespace as unknown as DurableObjectNamespace), calls };
}

const request = {
  address: { tenant: "tropical", workflow: "orders", id: "o" },
  caller: customer,
  event: { type: "CONFIRM_PIZZA" },
};
const reset = { retryable: true };
const overloaded = { retryable: true, overloaded: true };

describe("a call to an object", () => {
  it("that was reset is made again, on a new stub", async () => {
    const { instances, calls } = failing([reset, reset]);
    expect(await instances.send({ ...request, dedupe: "k" })).toMatchObject({ ok: true });
    expect(calls).toEqual([0, 1, 2]);
  });

  it("that is reset time and again is given up, and can be repeated", async () => {
    const { instances, calls } = failing([reset, reset, reset, reset]);
    const reply = await instances.send({ ...request, dedupe: "k" });
    expect(reply).toMatchObject({
      ok: false,
      problem: { status: 503, detail: expect.stringMatching(/Try again/) as string },
    });
    expect(calls).toHaveLength(3);
  });

  it("that is overloaded is not made worse: 503 at once", async () => {
    const { instances, calls } = failing([overloaded]);
    const reply = await instances.send({ ...request, dedupe: "k" });
    expect(reply).toMatchObject({ ok: false, problem: { status: 503 } });
    expect(calls).toHaveLength(1);
  });

  it("without a key is not repeated: it may have been applied", async () => {
    const { instances, calls } = failing([reset]);
    const reply = await instances.send(request);
    expect(reply).toMatchObject({
      ok: false,
      problem: { detail: expect.stringMatching(/may have been applied/) as string },
    });
    expect(calls).toHaveLength(1);
  });

  it("that goes back is not repeated: what has happened since would be undone", async () => {
    const { instances, calls } = failing([reset]);
    const { address, caller } = request;
    const operation = { name: "rewind" as const, to: 3 };
    const reply = await instances.operate({ address, caller, operation });
    expect(reply).toMatchObject({
      ok: false,
      problem: { detail: expect.stringMatching(/may have been applied/) as string },
    });
    expect(calls).toHaveLength(1);
  });

  it("that fails otherwise is an error of ours", async () => {
    const { instances, calls } = failing([{}]);
    await expect(instances.send({ ...request, dedupe: "k" })).rejects.toThrow("from the platform");
    expect(calls).toHaveLength(1);
  });
});
