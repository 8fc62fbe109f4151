import colors from "picocolors";
import { checkSecretPaths } from "../instance/secret-paths.ts";
import { registerWorkflows } from "../kernel/registration.ts";
import type { Workflows } from "../kernel/workflow.ts";

/** The registered machines, or one sentence that says what is wrong with them, and exit code 1. */
export async function checkedWorkflows(): Promise<Workflows> {
  try {
    const { workflows } = (await import("../../machines/index.ts")) as { workflows: Workflows };
    checkSecretPaths(registerWorkflows(workflows));
    return workflows;
  } catch (error) {
    console.error(colors.red(error instanceof Error ? error.message : String(error)));
    process.exit(1);
  }
}
