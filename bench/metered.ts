import { workflows } from "../machines/index.ts";
import { durachart, type DurachartEnv } from "../src/index.ts";

const app = durachart({ workflows });

/** The runtime alone has no queues, and they are no part of the count: these take what they are given. */
const queue = { send: () => Promise.resolve() };
const queues = { KITCHEN_QUEUE: queue, DELIVERY_QUEUE: queue, ORDERLOG_QUEUE: queue };

export interface Meter {
  rowsWritten: number;
  alarmsSet: number;
  commits: number;
  databaseBytes: number;
}

/** The instance, with every write counted from outside: the product knows nothing of it. */
export class Instance extends app.Instance {
  readonly #meter: () => Meter;

  constructor(context: DurableObjectState, env: unknown) {
    const meter = attachMeter(context.storage);
    super(context, { ...(env as object), ...queues });
    this.#meter = meter;
  }

  readMeter(): Meter {
    return this.#meter();
  }
}

function attachMeter(storage: DurableObjectStorage): () => Meter {
  const cursors: { rowsWritten: number }[] = [];
  let alarmsSet = 0;
  let commits = 0;
  const { sql } = storage;
  const exec = sql.exec.bind(sql);
  sql.exec = ((query: string, ...bindings: unknown[]) => {
    const cursor = exec(query, ...bindings);
    cursors.push(cursor);
    return cursor;
  }) as typeof sql.exec;
  const transactionSync = storage.transactionSync.bind(storage);
  storage.transactionSync = (closure) => {
    commits += 1;
    return transactionSync(closure);
  };
  const setAlarm = storage.setAlarm.bind(storage);
  storage.setAlarm = (time, options) => {
    alarmsSet += 1;
    return setAlarm(time, options);
  };
  return () => ({
    rowsWritten: cursors.reduce((sum, cursor) => sum + cursor.rowsWritten, 0),
    alarmsSet,
    commits,
    databaseBytes: sql.databaseSize,
  });
}

const METER = "/meter/";

interface Env extends DurachartEnv {
  INSTANCES: DurableObjectNamespace;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (!pathname.startsWith(METER)) return app.fetch(request, env);
    const stub = env.INSTANCES.getByName(decodeURIComponent(pathname.slice(METER.length)));
    return Response.json(await (stub as unknown as { readMeter(): Promise<Meter> }).readMeter());
  },
};
