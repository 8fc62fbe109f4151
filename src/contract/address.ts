/** Where an instance lives. Tenant and jurisdiction come from credentials, never from a request's text. */
export interface Address {
  tenant: string;
  workflow: string;
  id: string;
}

const ID = /^[A-Za-z0-9._~-]{1,200}$/;

/** Ids are the user's business keys: 1–200 bytes of RFC 3986's unreserved characters, but for "." and "..". */
export function isInstanceId(id: string): boolean {
  return ID.test(id) && id !== "." && id !== "..";
}

/** Cloudflare forgets the name of an object whose name is longer (1,024 bytes). */
const MAX_NAME_BYTES = 1_024;

/**
 * An object's name. Each part is percent-encoded, so that no two lists of parts share one.
 *
 * @throws RangeError where the name would be too long to find the object again
 */
export function nameOf(...parts: readonly string[]): string {
  const name = parts.map(encodeURIComponent).join("/");
  if (name.length > MAX_NAME_BYTES) {
    throw new RangeError(`The object's name has ${name.length} bytes; at most ${MAX_NAME_BYTES}.`);
  }
  return name;
}

/** An instance's. @throws RangeError as `nameOf` does */
export function objectName({ tenant, workflow, id }: Address): string {
  return nameOf(tenant, workflow, id);
}

/** Whose a name is that `objectName` has made. */
export function addressNamed(name: string): Address {
  const [tenant = "", workflow = "", id = ""] = name.split("/").map(decodeURIComponent);
  return { tenant, workflow, id };
}

/** `orders/o-1`: a CloudEvent's subject, and with a leading slash its source. */
export function subjectOf({ workflow, id }: Address): string {
  return `${workflow}/${id}`;
}
