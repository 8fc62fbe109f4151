/**
 * What travels in our queues. Only Workers that this account has bound to a queue can put something
 * there: the binding is the credential, so the envelope may name the tenant.
 */
export interface Envelope {
  tenant: string;
  jurisdiction?: DurableObjectJurisdiction;
  /** A CloudEvent in the JSON format; its `subject` is `{workflow}/{id}`. */
  event: Record<string, unknown>;
}
