/** As much of an R2 bucket as archiving needs, with failures where the test wants them. */
export class MemoryBucket {
  readonly objects = new Map<string, string>();
  /** Called before each write; what it throws is the bucket's failure. */
  onPut: ((key: string) => void | Promise<void>) | undefined;

  async put(key: string, text: string): Promise<void> {
    await this.onPut?.(key);
    const before = this.objects.get(key);
    if (before !== undefined && before !== text) throw new Error(`${key} was something else`);
    this.objects.set(key, text);
  }

  get(key: string): Promise<{ text(): Promise<string> } | null> {
    const found = this.objects.get(key);
    return Promise.resolve(found === undefined ? null : { text: () => Promise.resolve(found) });
  }

  delete(key: string): Promise<void> {
    this.objects.delete(key);
    return Promise.resolve();
  }
}
