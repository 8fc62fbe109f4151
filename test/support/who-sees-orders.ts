/**
 * In the orchestrator's place, where the chat is tested alone: an order `{tenant}.{customer}.…` is seen by
 * that customer and by who serves the shop; of `broken.{status}` it answers so.
 */
export function whoSeesOrders(request: {
  url: string;
  headers: { get(name: string): string | null };
}) {
  const [, workflow, id = ""] = new URL(request.url).pathname.split("/");
  const token = request.headers.get("authorization")?.split(" ")[1] ?? "";
  const payload = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
  const { tenant, sub, roles } = JSON.parse(payload) as Record<"tenant" | "sub", string> & {
    roles: string[];
  };
  const answer = (status: number) =>
    Response.json(
      { type: "urn:durachart:problem:told", status, detail: "As it was told" },
      { status },
    );
  const [first, second] = id.split(".");
  if (first === "broken") return answer(Number(second));
  if (workflow !== "orders" || tenant !== first) return answer(404);
  const isStaff = roles.some((role) => ["courier", "service", "operator"].includes(role));
  return answer(isStaff || sub === second ? 200 : 404);
}
