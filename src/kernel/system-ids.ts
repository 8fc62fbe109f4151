/** Which actor goes by which systemId during a run. The map it began with is left as it is. */
export class SystemIds {
  readonly #before: ReadonlyMap<string, number>;
  /** Made when something changes, which is seldom. */
  #changed: Map<string, number> | undefined;

  constructor(before: ReadonlyMap<string, number>) {
    this.#before = before;
  }

  /** As it stands; the same map as before where nothing has changed. */
  get current(): ReadonlyMap<string, number> {
    return this.#changed ?? this.#before;
  }

  register(systemId: string, key: number): void {
    const existing = this.current.get(systemId);
    if (existing !== undefined && existing !== key) {
      throw new Error(`Actor with system ID '${systemId}' already exists.`);
    }
    if (existing === key) return;
    this.#changed ??= new Map(this.#before);
    this.#changed.set(systemId, key);
  }

  unregister(key: number): void {
    for (const [systemId, registered] of this.current) {
      if (registered !== key) continue;
      this.#changed ??= new Map(this.#before);
      this.#changed.delete(systemId);
      return;
    }
  }
}
