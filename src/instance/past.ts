import { refusal, type Problem } from "../contract/problem.ts";
import type {
  HistoryReply,
  HistoryRequest,
  InstanceRequest,
  MomentReply,
  MomentRequest,
} from "../contract/requests.ts";
import type { SimulationReply, SimulationRequest } from "../contract/simulation.ts";
import type { Sight } from "../kernel/access.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { Archiver } from "./archiver.ts";
import type { Door } from "./door.ts";
import type { Live } from "./live.ts";
import { imagined, momentAt, momentOf, momentText } from "./moment-view.ts";
import { viewerOfStored, type Viewer } from "./sight.ts";
import { simulate } from "./simulate.ts";
import type { JournalRow, Store } from "./store.ts";
import { entryFor } from "./view.ts";

export interface PastOptions {
  door: Door;
  store: Store;
  archiver: Archiver;
  workflows: ReadonlyMap<string, RegisteredWorkflow>;
  clock: () => number;
}

/** What an instance was, and what it could become: it is looked at, and nothing is written. */
export class Past {
  readonly #options: PastOptions;

  constructor(options: PastOptions) {
    this.#options = options;
  }

  /** A promise where some of it is archived. */
  history(request: HistoryRequest): HistoryReply | Promise<HistoryReply> {
    const { door, store, archiver, workflows } = this.#options;
    const { after, limit } = request;
    const reply = (rows: JournalRow[]): HistoryReply => {
      const identity = store.identity();
      const viewer = viewerOfStored(store, workflows, request.caller);
      const newest = workflows.get(identity.workflow);
      // As the stream shows it: by the rules of its own version.
      const workflow = newest?.versions.get(identity.version) ?? newest ?? {};
      const entries = rows
        .slice(0, limit)
        .map((row) => entryFor({ identity }, workflow, row, viewer));
      const next = rows.length > limit ? entries.at(-1)!.seq : null;
      return { ok: true, next, json: JSON.stringify(entries) };
    };
    const answer = door.answer(request, () => {
      // Not by way of the live state: a quarantined instance shows its journal all the same.
      door.identity(request);
      viewerOfStored(store, workflows, request.caller);
      if (after < store.archived.through()) return null;
      return reply(store.journal(after, limit + 1));
    });
    if (answer !== null) return answer;
    return door.later(request.caller, async () => reply(await archiver.read(after, limit + 1)));
  }

  /** What it was after an entry of its history; a promise where that is archived. */
  moment(request: MomentRequest): MomentReply | Promise<MomentReply> {
    return this.#asOf<MomentReply>(request, request.seq, (live, { sight }) => {
      return { ok: true, json: momentText(live, sight) };
    });
  }

  /** What would happen; nothing is written, nothing leaves. */
  simulate(request: SimulationRequest): SimulationReply | Promise<SimulationReply> {
    return this.#asOf<SimulationReply>(request, request.from, (live, viewer) => {
      // Of the past, it begins then: no deadline has passed that had not.
      const now = request.from === undefined ? this.#options.clock() : live.updatedAt;
      const { secrets } = this.#options.store;
      return {
        ok: true,
        json: JSON.stringify(simulate(live, request.suppose, { viewer, now, secrets })),
      };
    });
  }

  /** Answers about what the instance was after an entry, or is now. */
  #asOf<Answer>(
    request: InstanceRequest,
    seq: number | undefined,
    answer: (live: Live, viewer: Viewer & { sight: Sight }) => Answer,
  ): Answer | { ok: false; problem: Problem } | Promise<Answer | { ok: false; problem: Problem }> {
    const { door, store, archiver, workflows } = this.#options;
    const early = door.answer(request, () => {
      const identity = door.identity(request);
      // Who sees it now sees what it was.
      const viewer = viewerOfStored(store, workflows, request.caller);
      if (seq === undefined) return answer(imagined(store, workflows), viewer);
      if (seq >= 1 && seq <= store.archived.through()) return null;
      return answer(momentAt(store, workflows, identity, seq), viewer);
    });
    if (early !== null || seq === undefined) return early as Answer;
    return door.later(request.caller, async () => {
      const identity = store.identity();
      const then = await archiver.momentAt(seq);
      const viewer = viewerOfStored(store, workflows, request.caller);
      if (then !== null) return answer(momentOf(workflows, identity, seq, then), viewer);
      const { workflow, id } = identity;
      throw refusal("state-not-kept", `What ${workflow}/${id} was at seq ${seq} is not kept.`);
    });
  }
}
