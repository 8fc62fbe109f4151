import { beforeAll, describe, expect, it } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import { OWNER } from "../../src/contract/projection.ts";
import type { Listed } from "../../src/list/search.ts";
import { call } from "../support/client.ts";
import { consume, projection } from "../support/listed.ts";

const tenant = "t-roles";
const claimant = (subject: string): Caller => ({ tenant, subject, roles: ["claimant"] });
const adjuster: Caller = { tenant, subject: "ada", roles: ["adjuster"] };
const auditor: Caller = { tenant, subject: "otto", roles: ["auditor"] };

const get = (as: Caller, query = "") =>
  call<{ instances: Listed[]; counts?: object; detail?: string }>("GET", `/claims${query}`, { as });

async function listThree(): Promise<void> {
  const incident = {
    id: "x",
    kind: "blocked" as const,
    what: "w",
    error: "CANARY",
    mend: "CANARY",
  };
  const claims = ["anna", "ben", null].map((owner, index) =>
    projection({
      ...{ tenant, workflow: "claims", id: `c-${index}`, incidents: [incident] },
      attributes: {
        ...{ amount: index, notes: "CANARY", claimant: owner ?? "nobody" },
        ...(owner === null ? {} : { [OWNER]: owner }),
      },
    }),
  );
  await consume(claims);
}

describe("the list", () => {
  beforeAll(listThree);

  it("gives people their own, and of it what they may see", async () => {
    const { body } = await get(claimant("anna"));
    expect(body.instances).toMatchObject([{ id: "c-0", owner: "anna", attributes: { amount: 0 } }]);
    expect(JSON.stringify(body)).not.toContain("CANARY");
    expect(JSON.stringify(body)).not.toContain(OWNER);
    expect((await get(claimant("carl"))).body.instances).toEqual([]);
    // One who reaches all sees of each what that role sees.
    const all = await get({ ...adjuster, roles: ["adjuster", "claimant"], subject: "ben" });
    expect(all.body.instances).toHaveLength(3);
    expect(all.body.instances.filter(({ owner }) => owner !== undefined)).toMatchObject([
      { id: "c-1", owner: "ben" },
    ]);
    expect(JSON.stringify((await get(adjuster)).body)).not.toMatch(/anna|ben|mend/);
    expect((await get(auditor, "?owner=anna")).body.instances).toMatchObject([
      { id: "c-0", owner: "anna", incidents: [{ error: "CANARY" }] },
    ]);
  });

  it("can't be searched by what one doesn't see", async () => {
    const anna = claimant("anna");
    for (const query of [
      "?attribute.notes=CANARY",
      "?owner=ben",
      `?attribute.${encodeURIComponent("$owner")}=ben`,
      `?attribute.${encodeURIComponent("$owner")}=anna`,
    ]) {
      expect([query, (await get(anna, query)).status]).toEqual([query, 400]);
    }
    expect((await get(anna, "?counts=true")).status).toBe(403);
    expect((await get(adjuster, "?counts=true")).status).toBe(200);
    expect((await get(anna, "?attribute.amount=0&owner=anna")).body.instances).toHaveLength(1);
    expect((await get(anna, "?attribute.amount=1")).body.instances).toEqual([]);
  });

  it("can be searched by what a role sees of one's own among one's own alone", async () => {
    // As a claimant she sees whose a claim is, as an adjuster all claims, but not that.
    const both = { ...adjuster, roles: ["adjuster", "claimant"], subject: "ben" };
    const found = async (query: string) =>
      (await get(both, query)).body.instances.map(({ id }) => id);
    expect(await found("?attribute.claimant=anna")).toEqual([]);
    expect(await found("?attribute.claimant=ben")).toEqual(["c-1"]);
    expect(await found("?attribute.claimant=ben&attribute.notes=CANARY")).toEqual(["c-1"]);
    expect(await found("?attribute.amount=0&attribute.notes=CANARY")).toEqual(["c-0"]);
    const counted = await get(both, "?attribute.claimant=anna&counts=true");
    expect(counted.status).toBe(200);
  });

  it("gives a role that it has nothing for nothing", async () => {
    expect((await get({ tenant, subject: "anna", roles: ["customer"] })).status).toBe(403);
    expect((await get({ tenant, subject: "anna", roles: [] })).status).toBe(403);
  });
});
