/**
 * `SECRETS_KEYS` as the webhooks under test have them; null for what the runtime has. Tests alter it: they
 * share the Worker's isolate.
 */
export const secretsKeys: { setting: string | undefined | null } = { setting: null };
