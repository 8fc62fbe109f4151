import type { Verification } from "../contract/verification.ts";
import type { Looked } from "./local-journals.ts";

/** Verifications under way at once. */
const AT_ONCE = 4;

const PAGE = 100;

export interface Remote {
  url: string;
  /** Of a caller with the role `operator`: its tenant's instances are looked at. */
  token: string;
  workflows: readonly string[];
}

/**
 * Looks at all of a tenant's instances that a deployment's list knows.
 *
 * @throws Error where the deployment doesn't answer as it should
 */
export async function* remoteJournals(remote: Remote): AsyncGenerator<Looked, void, undefined> {
  for (const workflow of remote.workflows) {
    for await (const ids of pages(remote, workflow)) {
      for (let from = 0; from < ids.length; from += AT_ONCE) {
        const some = ids.slice(from, from + AT_ONCE);
        const looked = await Promise.all(some.map((id) => verify(remote, workflow, id)));
        yield* looked.filter((one) => one !== null);
      }
    }
  }
}

async function* pages(
  { url, token }: Remote,
  workflow: string,
): AsyncGenerator<string[], void, undefined> {
  let path: string | undefined = `/${workflow}?limit=${PAGE}`;
  while (path !== undefined) {
    const response: Response = await ask(url, path, token);
    if (!response.ok) throw await refused(response, path);
    const { instances } = (await response.json()) as { instances: { id: string }[] };
    yield instances.map(({ id }) => id);
    path = /<(.*)>; rel="next"/.exec(response.headers.get("link") ?? "")?.[1];
  }
}

/** @returns null where it has not begun */
async function verify(
  { url, token }: Remote,
  workflow: string,
  id: string,
): Promise<Looked | null> {
  const path = `/${workflow}/${encodeURIComponent(id)}/verify`;
  const response = await ask(url, path, token);
  if (response.ok) {
    return { name: `${workflow}/${id}`, found: (await response.json()) as Verification };
  }
  const { type } = (await response.clone().json()) as { type?: string };
  if (type?.endsWith(":not-begun")) return null;
  throw await refused(response, path);
}

function ask(url: string, path: string, token: string): Promise<Response> {
  return fetch(new URL(path, url), { headers: { Authorization: `Bearer ${token}` } });
}

async function refused(response: Response, path: string): Promise<Error> {
  return new Error(`${path} was answered with ${response.status}: ${await response.text()}`);
}
