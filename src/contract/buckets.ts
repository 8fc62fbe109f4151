import { refusal } from "./problem.ts";
import type { Realm } from "./realm.ts";

/** The R2 buckets: what has left the journals, what is too large for an event, and pictures of products and users. */
type BucketName = "ARCHIVE" | "PAYLOADS" | "PICTURES" | "AVATARS_BUCKET";

/** Everything of an owner's in a bucket. @param objectId an instance's, in hexadecimal */
export const prefixes = {
  journal: (objectId: string) => `journal/${objectId}/`,
  payload: (objectId: string) => `payload/${objectId}/`,
  /** Payloads that are still coming in, whose hash nobody knows yet. */
  upload: (objectId: string) => `upload/${objectId}/`,
  /** @param realm as an object's name has it */
  picture: (realm: string) => `picture/${realm}/`,
  /** @param realm as an object's name has it */
  avatar: (realm: string) => `avatar/${realm}/`,
};

type Kind = keyof typeof prefixes;

const bucketsBy = {
  journal: "ARCHIVE",
  payload: "PAYLOADS",
  upload: "PAYLOADS",
  picture: "PICTURES",
  avatar: "AVATARS_BUCKET",
} as const satisfies Record<Kind, BucketName>;

/** What of one kind one owner has in its realm's bucket. Nothing else in the buckets is reached. */
export class Drawer {
  readonly #bucket: R2Bucket;
  readonly #prefix: string;

  /**
   * @param owner the instance's object id in hexadecimal, or the realm: differs by tenant and jurisdiction
   * @throws ProblemError not-configured naming the binding
   */
  constructor(env: unknown, realm: Realm, kind: Kind, owner: string) {
    this.#bucket = bucketOf(env, bucketsBy[kind], realm.jurisdiction);
    this.#prefix = prefixes[kind](owner);
  }

  /** As it stands in the bucket. */
  key(name: string): string {
    return this.#prefix + name;
  }

  head(name: string): Promise<R2Object | null> {
    return this.#bucket.head(this.key(name));
  }

  /** @param range all of it where it is left out */
  get(name: string, range?: R2Range): Promise<R2ObjectBody | null> {
    return this.#bucket.get(this.key(name), range === undefined ? {} : { range });
  }

  async put(
    name: string,
    content: string | Uint8Array | ReadableStream,
    options: R2PutOptions,
  ): Promise<void> {
    await this.#bucket.put(this.key(name), content, options);
  }

  delete(name: string): Promise<void> {
    return this.#bucket.delete(this.key(name));
  }

  /** An upload in parts, of what is not known whole. */
  begin(name: string, options: R2MultipartOptions): Promise<R2MultipartUpload> {
    return this.#bucket.createMultipartUpload(this.key(name), options);
  }
}

/**
 * Removes what of one kind an instance has, from the buckets of all jurisdictions. May be repeated.
 *
 * @param objectId as for a drawer
 * @returns how many objects there were; 0 where no bucket is bound
 */
export async function emptyDrawers(env: unknown, kind: Kind, objectId: string): Promise<number> {
  const prefix = prefixes[kind](objectId);
  let erased = 0;
  for (const bucket of bucketsNamed(env, bucketsBy[kind])) {
    for (let isMore = true; isMore;) {
      // Always the first page: what it held is gone when the next is asked for.
      const { objects, truncated } = await bucket.list({ prefix });
      if (objects.length > 0) await bucket.delete(objects.map(({ key }) => key));
      erased += objects.length;
      isMore = truncated;
    }
  }
  return erased;
}

function bucketsNamed(env: unknown, name: BucketName): R2Bucket[] {
  return Object.entries((env ?? {}) as Record<string, R2Bucket>).flatMap(([binding, bucket]) =>
    binding === name || binding.startsWith(`${name}_`) ? [bucket] : [],
  );
}

/**
 * The binding that a realm's data goes to: a jurisdiction has buckets of its own, bound as `ARCHIVE_EU`,
 * `PAYLOADS_FEDRAMP_HIGH` and so on. Where data must stay is not ours to bend.
 */
function bindingOf(name: BucketName, jurisdiction: Realm["jurisdiction"]): string {
  if (!jurisdiction) return name;
  return `${name}_${jurisdiction.toUpperCase().replaceAll("-", "_")}`;
}

/** @throws ProblemError not-configured naming the binding */
function bucketOf(env: unknown, name: BucketName, jurisdiction: Realm["jurisdiction"]): R2Bucket {
  const bindings = (env ?? {}) as Record<string, R2Bucket | undefined>;
  const bucket = bindings[bindingOf(name, jurisdiction)];
  if (bucket !== undefined) return bucket;
  throw refusal(
    "not-configured",
    `This deployment has no R2 bucket bound as ${bindingOf(name, jurisdiction)}. Bind one in wrangler.toml.`,
  );
}
