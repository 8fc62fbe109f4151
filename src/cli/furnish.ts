import { stockTheShop } from "./assortment.ts";
import { teachTheShop } from "./documents.ts";
import { mintToken, tokenOf, type Secrets } from "./secrets.ts";

/**
 * Puts into a local shop what it needs to sell: its products, with pictures and stock, and what its
 * support is to know. May be said again.
 *
 * @param url the shop's gateway
 */
export async function furnishTheShop(url: string, secrets: Secrets): Promise<void> {
  await furnishAs(await staffTokenOf(url, secrets), url);
}

export async function furnishAs(staffToken: string, url: string): Promise<void> {
  await stockTheShop(url, staffToken);
  await teachTheShop(url, staffToken);
}

/** By the auth service where it is the issuer; else as the fixed keys have it. */
function staffTokenOf(url: string, secrets: Secrets): Promise<string> {
  if (!secrets.variables["TOKEN_KEYS"]) return tokenOf(url, secrets.clients.staff);
  return mintToken(secrets, { subject: "furnisher", roles: ["service"] }, "5m");
}
