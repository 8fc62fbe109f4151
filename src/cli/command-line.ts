import { parseArgs, type ParseArgsConfig } from "node:util";
import colors from "picocolors";

/** Something that was typed and can't be done: told in one line, without a stack. */
export class CommandLineMistake extends Error {}

/** @throws CommandLineMistake where there is no such option, or it lacks its value */
export function parseOptions<Config extends ParseArgsConfig>(
  config: Config,
): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs(config);
  } catch (error) {
    throw new CommandLineMistake((error as Error).message.replaceAll("\n", " "));
  }
}

/** Says what was mistaken, and ends with 2, which is for nothing else. @throws what is no mistake */
export function tellMistake(error: unknown): void {
  if (!(error instanceof CommandLineMistake)) throw error;
  console.error(colors.red(error.message));
  process.exitCode = 2;
}
