import { refusal } from "../../src/contract/problem.ts";
import { readBytes, readJson } from "../../src/ingress/body.ts";
import { wholeNumber } from "../../src/ingress/query.ts";
import { validate } from "../../src/instance/validate.ts";
import { MAX_PICTURE } from "../catalog/picture.ts";
import { newProduct, newStock } from "../catalog/shapes.ts";
import type { CatalogCalls } from "../contracts/catalog.ts";
import { granted } from "../replying.ts";
import { requireStaff } from "../staff.ts";
import { nothingAt, wrongMethod } from "./answers.ts";
import type { ApiRequest } from "./api.ts";

/** Bytes of a JSON body. */
const MOST = 16_384;

/** `/api/catalog/…` */
export async function catalog(api: ApiRequest): Promise<Response> {
  const { CATALOG } = api.env;
  if (CATALOG === undefined) {
    throw refusal("not-configured", "This deployment has no catalog.");
  }
  const [kind, id, part, ...more] = api.path;
  if (more.length > 0 || id === "") throw nothingAt(api.url);
  if (kind === "pictures" && id !== undefined && part === undefined) {
    return picture(api, CATALOG, id);
  }
  if (kind !== "products") throw nothingAt(api.url);
  if (id === undefined) return products(api, CATALOG);
  if (part === undefined) return product(api, CATALOG, id);
  if (part === "stock") return stock(api, CATALOG, id);
  if (part === "picture") return newPicture(api, CATALOG, id);
  throw nothingAt(api.url);
}

async function products({ request, url, asker }: ApiRequest, calls: CatalogCalls) {
  if (request.method !== "GET") return wrongMethod(request, "GET");
  const text = url.searchParams.get("q");
  const after = url.searchParams.get("after");
  const limit = wholeNumber(url.searchParams, "limit", 1, 100);
  if (text !== null && text.length > 200) {
    throw refusal("bad-parameter", "q must have at most 200 characters.", { field: "q" });
  }
  const query = {
    ...(text === null ? {} : { text }),
    ...(after === null ? {} : { after }),
    ...(limit === null ? {} : { limit }),
  };
  return Response.json(granted(await calls.search(asker, query)));
}

async function product({ request, asker }: ApiRequest, calls: CatalogCalls, id: string) {
  switch (request.method) {
    case "GET": {
      const [found] = granted(await calls.products(asker, [id]));
      if (found === undefined) throw refusal("not-found", "There is no such product.");
      return Response.json(found);
    }
    case "PUT": {
      requireStaffOfCatalog(asker);
      const body = validate(newProduct, await readJson(request, MOST), "");
      return Response.json(granted(await calls.put(asker, id, body)));
    }
    case "DELETE":
      granted(await calls.remove(asker, id));
      return new Response(null, { status: 204 });
    default:
      return wrongMethod(request, "GET", "PUT", "DELETE");
  }
}

async function stock({ request, asker }: ApiRequest, calls: CatalogCalls, id: string) {
  switch (request.method) {
    case "GET":
      return Response.json(granted(await calls.stock(asker, id)));
    case "PUT": {
      requireStaffOfCatalog(asker);
      const { onHand } = validate(newStock, await readJson(request, MOST), "");
      return Response.json(granted(await calls.setStock(asker, id, onHand)));
    }
    default:
      return wrongMethod(request, "GET", "PUT");
  }
}

async function newPicture({ request, asker }: ApiRequest, calls: CatalogCalls, id: string) {
  if (request.method !== "PUT") return wrongMethod(request, "PUT");
  requireStaffOfCatalog(asker);
  const bytes = await readBytes(request, MAX_PICTURE);
  return Response.json(granted(await calls.putPicture(asker, id, bytes)));
}

async function picture({ request, asker }: ApiRequest, calls: CatalogCalls, hash: string) {
  const isHead = request.method === "HEAD";
  if (request.method !== "GET" && !isHead) return wrongMethod(request, "GET", "HEAD");
  const { headers } = request;
  const ifRange = headers.get("if-range");
  // A range is only of what they have; and of HEAD there is none (RFC 9110, 13.1.5 and 14.2).
  const isRange = !isHead && (ifRange === null || ifRange === `"${hash}"`);
  const answer = await calls.picture(asker, hash, {
    range: isRange ? headers.get("range") : null,
    ifNoneMatch: headers.get("if-none-match"),
  });
  if (isHead) {
    await answer.body?.cancel();
    return new Response(null, answer);
  }
  const length = answer.headers.get("content-length");
  if (answer.body === null || length === null) return new Response(answer.body, answer);
  // On its way here the body has lost its length: with one, whoever reads it knows if it broke off.
  return new Response(answer.body.pipeThrough(new FixedLengthStream(Number(length))), answer);
}

/** Before anything is read of what somebody else sends; the catalog looks once more. */
function requireStaffOfCatalog({ caller }: ApiRequest["asker"]): void {
  requireStaff(caller, "care of the catalog");
}
