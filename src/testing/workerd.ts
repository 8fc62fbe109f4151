import type { Address } from "../contract/address.ts";
import type { Caller } from "../contract/caller.ts";
import { ProblemError, type Problem } from "../contract/problem.ts";
import type { SendReply, StartReply } from "../contract/requests.ts";
import type { EventReply, JournalEntry, View } from "../contract/view.ts";
import { asEvent, type Answer, type TestEvent, type TestInstance } from "./test-instance.ts";

/** An instance's object, as a test holds it. */
export interface InstanceStub {
  start(request: object): Promise<unknown>;
  send(json: string): Promise<unknown>;
  get(request: object): Promise<unknown>;
  history(request: object): Promise<unknown>;
}

/** What `cloudflare:test` and the test runner give; handed in, so that this runs without them. */
export interface WorkerdTools<Stub extends InstanceStub> {
  stub: Stub;
  address: Address;
  caller?: Caller;
  /** `evictDurableObject` */
  evict(stub: Stub): Promise<void>;
  /** `runDurableObjectAlarm` */
  ring(stub: Stub): Promise<boolean>;
  /** When the alarm is to ring: `storage.getAlarm()` by way of `runInDurableObject`. */
  alarmOf(stub: Stub): Promise<number | null>;
  now(): number;
  /** Moves the clock of the test and of the object. */
  setTime(milliseconds: number): void;
}

/** Drives an instance in workerd with the calls that drive it in plain Node. */
export function runInWorkerd<Stub extends InstanceStub>(tools: WorkerdTools<Stub>): TestInstance {
  const { stub, address } = tools;
  const caller = tools.caller ?? {
    tenant: address.tenant,
    subject: "tester",
    roles: ["operator"],
  };
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return {
    settle,
    async start({ input, event }: { input?: unknown; event?: TestEvent } = {}) {
      const fingerprint = JSON.stringify([input, event]);
      const more = event === undefined ? {} : { event };
      const request = { address, caller, input, fingerprint, ...more };
      const view = parsed<View>((await stub.start(request)) as StartReply);
      await settle();
      return view;
    },
    async send(event, key): Promise<Answer> {
      const dedupe = key === undefined ? {} : { dedupe: key };
      const json = JSON.stringify({ address, caller, event: asEvent(event), ...dedupe });
      const answer = (await stub.send(json)) as string | SendReply;
      await settle();
      if (typeof answer === "string") return { ok: true, reply: JSON.parse(answer) as EventReply };
      return answer.ok ? { ok: true, reply: JSON.parse(answer.json) as EventReply } : answer;
    },
    async view() {
      return parsed<View>((await stub.get({ address, caller })) as StartReply);
    },
    async history() {
      const request = { address, caller, after: 0, limit: 100_000 };
      return parsed<JournalEntry[]>((await stub.history(request)) as StartReply);
    },
    async advance(milliseconds) {
      const until = tools.now() + milliseconds;
      for (;;) {
        const alarm = await tools.alarmOf(stub);
        if (alarm === null || alarm > until) break;
        tools.setTime(Math.max(tools.now(), alarm));
        await tools.ring(stub);
        await settle();
      }
      tools.setTime(until);
    },
    async restart() {
      await tools.evict(stub);
      await settle();
    },
  };
}

function parsed<Value>(reply: { ok: true; json: string } | { ok: false; problem: Problem }): Value {
  if (!reply.ok) throw new ProblemError(reply.problem);
  return JSON.parse(reply.json) as Value;
}
