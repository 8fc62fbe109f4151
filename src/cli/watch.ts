import type { JournalEntry, View } from "../contract/view.ts";

interface StreamEvent {
  type: string;
  data: unknown;
}

/** An order as it is watched: every transition in order, each once. */
export interface Watch {
  /** Resolves when an entry, past or yet to come, is what is looked for. */
  until(isThere: (entry: JournalEntry) => boolean): Promise<JournalEntry>;
  close(): void;
}

/** Opens an instance's stream. Node's WebSocket can send headers; a browser's cannot. */
export function watch(
  url: string,
  token: string,
  show: { view?(view: View): void; entry(entry: JournalEntry): void },
): Promise<Watch> {
  const seen: JournalEntry[] = [];
  const waiting: { isThere(entry: JournalEntry): boolean; resolve(entry: JournalEntry): void }[] =
    [];
  const address = url.replace(/^http/, "ws");
  const options = {
    protocols: ["cloudevents.json"],
    headers: { Authorization: `Bearer ${token}` },
  };
  const socket = new WebSocket(address, options as unknown as string[]);
  return new Promise((resolve, reject) => {
    socket.addEventListener("error", () => reject(new Error(`${address} could not be watched`)));
    socket.addEventListener("message", ({ data }) => {
      const event = JSON.parse(String(data)) as StreamEvent;
      if (event.type === "durachart.view") {
        show.view?.(event.data as View);
        resolve({
          until: (isThere) => {
            const known = seen.find(isThere);
            if (known !== undefined) return Promise.resolve(known);
            return new Promise((found) => waiting.push({ isThere, resolve: found }));
          },
          close: () => socket.close(1000),
        });
      }
      if (event.type === "durachart.confirm") {
        socket.send(`confirm ${(event.data as { seq: number }).seq}`);
      }
      if (event.type === "durachart.transition") {
        const entry = event.data as JournalEntry;
        seen.push(entry);
        show.entry(entry);
        for (const one of waiting) if (one.isThere(entry)) one.resolve(entry);
      }
    });
  });
}
