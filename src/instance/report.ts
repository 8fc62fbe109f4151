/** Where an instance says what nobody expected. */
export type Report = (message: string, error?: unknown) => void;
