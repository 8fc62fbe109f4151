import { TerminalError, type EffectContext } from "durachart/workflow";
import type { Reply } from "../services/contracts/reply.ts";

/** Whose data an effect is about, as the shop's other services are told. */
export function whoseOf({
  instance: { tenant, jurisdiction },
}: Pick<EffectContext<unknown>, "instance">) {
  return { tenant, ...(jurisdiction === undefined ? {} : { jurisdiction }) };
}

/**
 * What another service of the shop has answered.
 *
 * @throws TerminalError where it refused, and would again; Error where it may yet do it
 */
export function taken<Value>(reply: Reply<Value>): Value {
  if (reply.ok) return reply.value;
  const { status, detail } = reply.problem;
  const isPassing = status >= 500 || status === 429;
  throw new (isPassing ? Error : TerminalError)(detail);
}
