/** @throws Error with `said` where the promise has not settled after so many milliseconds */
export async function within<Value>(
  promise: Promise<Value>,
  milliseconds: number,
  said: string,
): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(said)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export function saidBy(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
