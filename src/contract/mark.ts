/**
 * A number that who has not read it can't say: the answer to a `confirm`. A position could be guessed, and
 * what is sent to somebody who answers without reading piles up in the object's memory.
 */
export function newMark(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/** Whether an answer is to what was asked. @param asked true where an older deployment has asked: it noted no mark */
export function isAnswer(asked: number | boolean, answer: number): boolean {
  return asked === true || asked === answer;
}
