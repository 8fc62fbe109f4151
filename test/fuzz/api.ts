import * as fc from "fast-check";
import type { Role } from "./ask.ts";
import { sentEvents } from "./events.ts";
import { anyPhase, bodyless, JSON_TYPE, words, type Parts } from "./parts.ts";
import { IDLE } from "./population.ts";

const staff = fc.constantFrom<Role>("service", "operator", "service", "customer");
const customers = fc.constantFrom<Role>("customer", "other", "operator");
/** Names of products and documents that nobody orders or asks for: few, since each makes an object. */
const names = fc.constantFrom("fuzz-1", "fuzz-2", "fuzz.3");

const asked = (as: fc.Arbitrary<Role>, path: fc.Arbitrary<string>, json: Arbitraries): Parts =>
  fc.record({
    ...{ as, path, json: fc.record(json) },
    // Of a tenant that sells nothing else.
    tenant: fc.constant(IDLE),
    headers: fc.constant([JSON_TYPE]),
  });
type Arbitraries = Record<string, fc.Arbitrary<unknown>>;

const price = fc.record({
  amount: fc.oneof(fc.nat(), fc.double()),
  currency: fc.constantFrom("EUR", "eur", "€"),
});

const looked = (path: fc.Arbitrary<string>): Parts => bodyless(path, staff);

/** As `within`, for what the gateway maps to its neighbours' methods. */
export const api: Record<string, Parts> = {
  "PUT /api/catalog/products/:id": asked(
    ...([staff, names.map((name) => `/api/catalog/products/${name}`)] as const),
    { name: words, description: words, price },
  ),
  "PUT /api/catalog/products/:id/stock": asked(
    ...([staff, names.map((name) => `/api/catalog/products/${name}/stock`)] as const),
    { onHand: fc.oneof(fc.nat({ max: 100 }), fc.integer(), fc.double()) },
  ),
  "GET /api/catalog/products/:id/stock": looked(
    names.map((name) => `/api/catalog/products/${name}/stock`),
  ),
  "DELETE /api/catalog/products/:id": looked(names.map((name) => `/api/catalog/products/${name}`)),
  "GET /api/support/documents": looked(fc.constant("/api/support/documents")),
  "DELETE /api/support/documents/:id": looked(
    names.map((name) => `/api/support/documents/${name}`),
  ),
  "GET /api/mailbox": looked(
    words.map((word) => `/api/mailbox?to=x${encodeURIComponent(word.toWellFormed())}`),
  ),
  "POST /api/support/questions": asked(customers, fc.constant("/api/support/questions"), {
    question: words.map((word) => `x${word}`),
  }),
  "PUT /api/support/documents/:id": asked(
    ...([staff, names.map((name) => `/api/support/documents/${name}`)] as const),
    { title: words.map((word) => `x${word}`), text: words.map((word) => `x${word}`) },
  ),
  "POST /api/orders": fc.record({
    as: customers,
    path: fc.constant("/api/orders"),
    headers: fc.constant([JSON_TYPE]),
    isKeyless: fc.constant(true),
    json: fc.tuple(anyPhase, words).map(([id, word]) => ({ id, input: { deliverTo: `x${word}` } })),
  }),
  "POST /api/orders/:id/events": sentEvents.map((part) => ({ ...part, path: `/api${part.path}` })),
};
