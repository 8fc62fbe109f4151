import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { tenantName, type TenantCalls } from "../../src/contract/tenancy.ts";
import { limits } from "../../src/limits.ts";

const { requestsPerMinute, sockets } = limits.tenants;
const objectOf = (tenant: string) => env.TENANTS.getByName(tenantName(tenant));

/** Uses up what a tenant may ask for this minute. */
export async function useUpRequests(tenant: string): Promise<void> {
  const object = objectOf(tenant) as unknown as TenantCalls;
  for (let left = Infinity; left > 0;) {
    const { remaining } = await object.lease(tenant, "requests", 100_000, requestsPerMinute);
    left = remaining;
  }
}

/** Opens all WebSockets that a tenant may have, but for some. */
export async function takeSockets(tenant: string, butFor: number): Promise<void> {
  await runInDurableObject(objectOf(tenant), (_, { storage }) => {
    storage.sql.exec(
      `WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)
         INSERT INTO sockets SELECT n, ? FROM n`,
      ...[sockets - butFor, Date.now() + 3_600_000],
    );
  });
}
