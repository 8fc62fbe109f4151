import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dirname, "../../services/support/documents");

/** A document of the shop's, as it is submitted. */
export interface ShopDocument {
  id: string;
  title: string;
  text: string;
}

/** The shop's own documents: the first line of each file is its title. */
export function shopDocuments(): ShopDocument[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".md"));
  return files.toSorted().map((file) => {
    const [first = "", ...rest] = readFileSync(join(folder, file), "utf8").split("\n");
    const title = first.replace(/^# /, "");
    return { id: file.replace(/\.md$/, ""), title, text: rest.join("\n").trim() };
  });
}

/**
 * Submits the shop's documents to its support, which takes them in a moment later. May be said again.
 *
 * @param url the shop's gateway
 * @param staffToken of a service or an operator
 * @throws Error naming the document that was refused
 */
export async function teachTheShop(url: string, staffToken: string): Promise<void> {
  await Promise.all(
    shopDocuments().map(async ({ id, ...document }) => {
      const response = await fetch(new URL(`/api/support/documents/${id}`, url), {
        method: "PUT",
        headers: { Authorization: `Bearer ${staffToken}`, "Content-Type": "application/json" },
        body: JSON.stringify(document),
      });
      const said = await response.text();
      if (!response.ok) throw new Error(`PUT ${response.url} is ${response.status}: ${said}`);
    }),
  );
}
