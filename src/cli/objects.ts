import { globSync } from "node:fs";
import { basename, join } from "node:path";

/** The classes of those that have something to do when they wake up. */
export type ObjectClass = "Instance" | "Webhooks";

/** The ids of the local runtime's objects: each has a file of its own. */
export function localObjects(root: string, kind: ObjectClass): string[] {
  const folder = join(root, ".wrangler", "state", "v3", "do");
  return globSync(`*${kind}/*.sqlite`, { cwd: folder })
    .map((path) => basename(path, ".sqlite"))
    .filter((name) => /^[0-9a-f]{64}$/.test(name));
}

const API = "https://api.cloudflare.com/client/v4";
const SCRIPT = "durachart";

interface Page<Item> {
  success: boolean;
  errors: { message: string }[];
  result: Item[];
  result_info?: { cursor?: string };
}

/** The ids of a deployment's objects, page by page, from Cloudflare's API. */
export async function* objectsInProduction(
  account: string,
  token: string,
  kind: ObjectClass,
): AsyncGenerator<string, void, undefined> {
  const namespaces = `${API}/accounts/${account}/workers/durable_objects/namespaces`;
  const { result } = await get<{ id: string; class: string; script: string }>(
    `${namespaces}?per_page=1000`,
    token,
  );
  const ours = result.find((one) => one.script === SCRIPT && one.class === kind);
  if (ours === undefined) throw new Error(`The account has no ${kind} of a Worker "${SCRIPT}".`);
  for (let cursor: string | undefined = ""; cursor !== undefined;) {
    const after: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page<{ id: string; hasStoredData: boolean }> = await get(
      `${namespaces}/${ours.id}/objects?limit=1000${after}`,
      token,
    );
    for (const { id, hasStoredData } of page.result) if (hasStoredData) yield id;
    cursor = page.result_info?.cursor || undefined;
  }
}

async function get<Item>(url: string, token: string): Promise<Page<Item>> {
  const response = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
  const page = (await response.json()) as Page<Item>;
  if (page.success) return page;
  throw new Error(`${url}: ${page.errors.map(({ message }) => message).join("; ")}`);
}
