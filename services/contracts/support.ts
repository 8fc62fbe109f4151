import type { Asker, Reply } from "./reply.ts";

export interface Question {
  /** 1 to 1,000 characters. */
  question: string;
  /** The id of an order of the asker's that it is about. */
  order?: string | undefined;
}

/** What an answer rests on. */
export interface Source {
  /** The document's id, or `orders/{id}`. */
  id: string;
  title: string;
  /** Word for word as it stands there. */
  quote: string;
}

export interface SupportAnswer {
  /** Whether the documents, or the order, have an answer. */
  known: boolean;
  /** Plain text. Where nothing is known it says so. */
  answer: string;
  /** The best first; none where nothing is known. */
  sources: Source[];
}

/** A document that answers come from; plain text, its paragraphs parted by empty lines. */
export interface SupportDocument {
  id: string;
  title: string;
  text: string;
}

/** What the gateway asks of the support, by service binding to its entrypoint `Support`. It only reads. */
export interface SupportCalls {
  ask(asker: Asker, question: Question): Promise<Reply<SupportAnswer>>;
  /** For staff: what is known, without the texts. */
  documents(asker: Asker): Promise<Reply<Pick<SupportDocument, "id" | "title">[]>>;
  /** For staff: puts a document, or its removal (`null`), into the queue that is ingested from. */
  submit(
    asker: Asker,
    id: string,
    document: Omit<SupportDocument, "id"> | null,
  ): Promise<Reply<null>>;
}
