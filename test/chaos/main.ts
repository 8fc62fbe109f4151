import colors from "picocolors";
import { chaos } from "./run.ts";
import { shopMain } from "./shop/main.ts";

const seed = Number(process.env["DURACHART_SEED"] ?? Math.floor(Math.random() * 1_000_000));
const [scenario] = process.argv.slice(2);
console.log(colors.bold(`\nChaos, seed ${seed} (again with DURACHART_SEED=${seed})\n`));
if (scenario === "rabbitmq" || scenario === "queues") {
  process.exit((await shopMain(scenario, seed)) ? 0 : 1);
}
const report = await chaos({
  seed,
  kills: 24,
  // Far enough apart for messages to flow again: a kill holds its lanes for the 30 s of a lease.
  between: 8_000,
  events: 20_500,
  say: (text) => console.log(colors.dim(`  ${text}`)),
});
const { violations, interrupted, lag, ...figures } = report;
console.log();
for (const [name, value] of Object.entries(figures)) {
  console.log(`  ${name.padEnd(22)}${String(value).padStart(9)}`);
}
for (const [name, value] of Object.entries(lag)) {
  console.log(`  ms to list, ${name}`.padEnd(24) + String(value).padStart(9));
}
for (const [name, value] of Object.entries(interrupted)) {
  const text = `  kills during ${name}`.padEnd(24) + String(value).padStart(9);
  console.log(value < 3 ? colors.red(`${text}  (at least 3)`) : text);
}
const isPassed =
  violations.length === 0 &&
  figures.latest <= 1_000 &&
  Object.values(interrupted).every((count) => count >= 3);
for (const violation of violations) console.log(colors.red(`  ✗ ${violation}`));
console.log(isPassed ? colors.green("\n  Every promise was kept.\n") : colors.red("\n  Failed.\n"));
process.exitCode = isPassed ? 0 : 1;
