import { nameOf } from "./address.ts";
import { refusal } from "./problem.ts";
import type { Realm } from "./realm.ts";

/**
 * Finds Durable Objects; nothing else does (test/repository/realms.test.ts). The same name in two
 * jurisdictions is two objects.
 *
 * @param parts what follows the tenant in the object's name; each is percent-encoded, so that none leads
 *   out of the realm
 * @throws ProblemError not-configured where this runtime has no such jurisdiction: never elsewhere instead
 */
export function objectIn<Kind extends Rpc.DurableObjectBranded | undefined>(
  namespace: DurableObjectNamespace<Kind>,
  realm: Realm,
  ...parts: readonly string[]
): DurableObjectStub<Kind> {
  return within(namespace, realm.jurisdiction).getByName(nameOf(realm.tenant, ...parts));
}

/** As `objectIn`: the object's id in hexadecimal, which is what it is called where its name must not stand. */
export function objectIdIn(
  namespace: DurableObjectNamespace,
  realm: Realm,
  ...parts: readonly string[]
): string {
  return within(namespace, realm.jurisdiction)
    .idFromName(nameOf(realm.tenant, ...parts))
    .toString();
}

/** A tenant's object that all its jurisdictions share: it holds numbers, and nobody's data. */
export function objectOfWholeTenant(
  namespace: DurableObjectNamespace,
  { tenant }: Realm,
): DurableObjectStub {
  return namespace.getByName(nameOf(tenant));
}

/** One of the deployment's own, that is no tenant's: it holds connections or limits. */
export function deploymentsObject(
  namespace: DurableObjectNamespace,
  name: string,
): DurableObjectStub {
  return namespace.getByName(name);
}

/** Anybody's, by its id: for the sweeper and for administrators, who can have it do nothing but wake up. */
export function anybodysObject<Kind extends Rpc.DurableObjectBranded | undefined>(
  namespace: DurableObjectNamespace<Kind>,
  object: string,
  jurisdiction: string | null,
): DurableObjectStub<Kind> {
  const there = within(namespace, jurisdiction as DurableObjectJurisdiction | null);
  return there.get(there.idFromString(object));
}

function within<Kind extends Rpc.DurableObjectBranded | undefined>(
  namespace: DurableObjectNamespace<Kind>,
  jurisdiction: DurableObjectJurisdiction | null | undefined,
): DurableObjectNamespace<Kind> {
  if (jurisdiction === undefined || jurisdiction === null) return namespace;
  try {
    return namespace.jurisdiction(jurisdiction);
  } catch {
    // Where data must stay is not ours to bend.
    throw refusal(
      "not-configured",
      `This runtime has no jurisdiction "${jurisdiction}"; the local one has none at all.`,
    );
  }
}
