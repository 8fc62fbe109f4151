import { refusal } from "./problem.ts";

/** The R2 buckets: what has left the journals, and what is too large for an event. */
export type BucketName = "ARCHIVE" | "PAYLOADS";

/**
 * The binding that a tenant's data goes to: a jurisdiction has buckets of its own, bound as `ARCHIVE_EU`,
 * `PAYLOADS_FEDRAMP_HIGH` and so on. Where data must stay is not ours to bend.
 */
function bindingOf(name: BucketName, jurisdiction?: string | null): string {
  if (!jurisdiction) return name;
  return `${name}_${jurisdiction.toUpperCase().replaceAll("-", "_")}`;
}

/** The bucket; undefined where the deployment has none. */
function findBucket(
  env: unknown,
  name: BucketName,
  jurisdiction?: string | null,
): R2Bucket | undefined {
  const bindings = (env ?? {}) as Record<string, R2Bucket | undefined>;
  return bindings[bindingOf(name, jurisdiction)];
}

/** Every bucket of that name, those of jurisdictions too. */
export function bucketsOf(env: unknown, name: BucketName): R2Bucket[] {
  return Object.entries((env ?? {}) as Record<string, R2Bucket>).flatMap(([binding, bucket]) =>
    binding === name || binding.startsWith(`${name}_`) ? [bucket] : [],
  );
}

/** @throws ProblemError not-configured naming the binding */
export function bucketOf(env: unknown, name: BucketName, jurisdiction?: string | null): R2Bucket {
  const bucket = findBucket(env, name, jurisdiction);
  if (bucket !== undefined) return bucket;
  throw refusal(
    "not-configured",
    `This deployment has no R2 bucket bound as ${bindingOf(name, jurisdiction)}. Bind one in wrangler.toml.`,
  );
}

/** Everything of an instance's in a bucket. @param objectId the object's id in hexadecimal */
export const prefixes = {
  journal: (objectId: string) => `journal/${objectId}/`,
  payload: (objectId: string) => `payload/${objectId}/`,
  /** Payloads that are still coming in, whose hash nobody knows yet. */
  upload: (objectId: string) => `upload/${objectId}/`,
};
