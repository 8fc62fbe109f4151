import { refusal } from "../contract/problem.ts";

export interface OriginSettings {
  /** Where pages may open sockets from: exact origins, separated by spaces. Without it no page may. */
  ALLOWED_ORIGINS?: string;
}

/**
 * Where a browser says that the page is from. Only browsers say so, and no page can say otherwise.
 *
 * @returns null where it isn't a browser
 * @throws ProblemError forbidden where the page is from elsewhere than the deployment allows
 */
export function originOf(
  request: Request,
  { ALLOWED_ORIGINS = "" }: OriginSettings,
): string | null {
  const origin = request.headers.get("origin");
  if (origin === null) return null;
  const isAllowed =
    /^https?:\/\/[^*\s]+$/.test(origin) && ALLOWED_ORIGINS.split(/\s+/).includes(origin);
  if (isAllowed) return origin;
  throw refusal(
    "forbidden",
    "Pages of this origin may open no sockets here: name it in ALLOWED_ORIGINS.",
    { origin: origin.slice(0, 200) },
  );
}
