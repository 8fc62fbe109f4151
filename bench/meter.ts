/** What was written to an object's storage since the meter was attached. */
export interface Meter {
  rowsWritten: number;
  alarmsSet: number;
  commits: number;
}

/** Counts an object's writes from outside: the product knows nothing of it. */
export function attachMeter(storage: DurableObjectStorage): () => Meter {
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
  });
}
