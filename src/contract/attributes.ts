/** A value of CloudEvents' type system as JSON has it (1.0.2, section 3.1, "Type System"). */
export type AttributeValue = string | number | boolean;

/** Attributes of a CloudEvent, by name. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** Where an event comes from: it goes on with what the event leads to. */
export interface Origin {
  /** How many instances it has passed through. */
  hops?: number;
  /** W3C `traceparent`. */
  trace?: string | undefined;
  /** What a CloudEvent says of itself beside its type and data. */
  attributes?: Attributes | undefined;
}
