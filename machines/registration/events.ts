import * as v from "valibot";

const text = (most: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(most));

/** What a registration is started with, by the auth service. */
export const registrationInput = v.strictObject({
  /** The subject of the user's tokens. */
  user: text(200),
  /** 200 characters, of which each may be two UTF-16 units. */
  name: text(400),
  /** Where the user has her mail; absent where that is not known. */
  email: v.optional(text(320)),
});

export type RegistrationInput = v.InferOutput<typeof registrationInput>;
