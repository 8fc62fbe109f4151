import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import colors from "picocolors";
import {
  settingsFromEnvironment,
  configPaths,
  databases,
  hasAuthService,
  quietly,
  root,
  wakeFleet,
} from "./fleet.ts";
import { furnishAs, furnishTheShop } from "./furnish.ts";
import { checkedWorkflows } from "./preflight.ts";
import {
  localSecrets,
  tokenOf,
  withAuthService,
  writeDevVars,
  type LocalClient,
} from "./secrets.ts";

const port = process.env["PORT"] ?? "8787";
const state = join(root, ".wrangler", "state");
/** Names the process that has the data. */
const owner = join(root, ".wrangler", "dev.pid");
const wrangler = join(root, "node_modules", "wrangler", "wrangler-dist", "cli.js");

/** `npm run dev`: the whole shop on this machine, its data kept in `.wrangler/state`. */
async function main(): Promise<void> {
  checkAlone();
  const secrets = localSecrets(root);
  writeDevVars(root, configPaths, {
    ...withAuthService(secrets),
    ALLOWED_ORIGINS: `http://localhost:${port}`,
    ...settingsFromEnvironment(),
  });
  for (const { database, configPath } of databases) {
    await run([
      ...["d1", "migrations", "apply", database, "--local"],
      ...["-c", configPath, "--persist-to", state],
    ]);
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      life.isStopping = true;
      stop(life.running);
      if (life.running === undefined) process.exit(0);
    });
  }
  // A machine that can't run ends the runtime; it is begun again when that is mended.
  while ((await serve(secrets)) !== 0 && !life.isStopping && machinesAreBroken()) {
    console.error(colors.yellow("The shop is closed until something under machines/ changes."));
    await once(watch(join(root, "machines"), { recursive: true }), "change");
    while (machinesAreBroken()) {
      await once(watch(join(root, "machines"), { recursive: true }), "change");
    }
  }
}

/** Whether somebody has asked for the end, and the runtime's process group while it runs. */
const life: { isStopping: boolean; running?: number | undefined } = { isStopping: false };

/** Runs the shop until it ends. @returns its exit code */
async function serve(secrets: ReturnType<typeof localSecrets>): Promise<number> {
  const server = start([
    "dev",
    ...configPaths.flatMap((path) => ["-c", path]),
    ...["--local", "--port", port, "--inspector-port", "0", "--persist-to", state],
    ...["--show-interactive-dev-session=false", "--log-level", "warn"],
  ]);
  life.running = server.pid;
  writeFileSync(owner, String(server.pid));
  server.on("message", (message) => {
    if (!JSON.stringify(message).includes("DEV_SERVER_READY")) return;
    void greet(secrets)
      .then(() => wakeFleet(`http://localhost:${port}`))
      .catch(fail);
  });
  const [code] = (await once(server, "exit")) as [number | null];
  life.running = undefined;
  rmSync(owner, { force: true });
  process.exitCode = code ?? 0;
  return process.exitCode;
}

/** Says what is wrong with them, if something is. In a process of its own, which knows nothing of them yet. */
function machinesAreBroken(): boolean {
  const check = `import(${JSON.stringify(join(root, "src/cli/preflight.ts"))}).then((one) => one.checkedWorkflows())`;
  return spawnSync(process.execPath, ["-e", check], { stdio: "inherit" }).status !== 0;
}

/** Two runtimes on one folder would write over each other. A runtime outlives an npm that was killed. */
function checkAlone(): void {
  const pid = existsSync(owner) ? Number(readFileSync(owner, "utf8")) : 0;
  if (pid === 0 || !isRunning(pid)) return;
  console.error(
    colors.red(
      `The shop's data in ${state} is in use by a runtime that is running already (process ${pid}). Use that one, or stop it: kill -- -${pid}`,
    ),
  );
  process.exit(1);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function greet(secrets: ReturnType<typeof localSecrets>): Promise<void> {
  const url = `http://localhost:${port}`;
  if (!hasAuthService) {
    const { DURACHART_TOKEN: token } = process.env;
    if (token) await furnishAs(token, url);
    return console.log(
      `\nThe shop is open at ${url}. Tokens come from the provider that TOKEN_ISSUER, TOKEN_AUDIENCE and TOKEN_KEYS_URL of the environment name (docs/auth.md); with DURACHART_TOKEN, one for the role service, it begins with something to sell.`,
    );
  }
  await furnishTheShop(url, { ...secrets, variables: withAuthService(secrets) });
  const { customer, staff } = secrets.clients;
  const tokens = { customer: await tokenOf(url, customer), staff: await tokenOf(url, staff) };
  // Of its answer the token alone, without a tool that might not be there.
  const newToken = (client: LocalClient) =>
    `$(curl -s ${url}/auth/token -d grant_type=client_credentials -d client_id=${client.id} -d client_secret=${client.secret} | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')`;
  const rabbit = process.env["RABBITMQ_URL"] ?? process.env["RABBITMQ_HTTP_URL"];
  const joined = rabbit
    ? `\nKitchen and delivery are joined by RabbitMQ at ${new URL(rabbit).host}`
    : "";
  const json = `-H 'Content-Type: application/json'`;
  const auth = (name: string) => `-H "Authorization: Bearer $${name}"`;
  console.log(`
${colors.green(colors.bold(`The shop is open at ${url}`))}  (Ctrl-C closes it; its data stays in .wrangler/state)${joined}

${colors.dim("# Tokens of the auth service, good for an hour")}
export CUSTOMER='${tokens.customer}'
export STAFF='${tokens.staff}'

${colors.dim("# Afterwards, new ones (the secrets are in .durachart/secrets.json)")}
export CUSTOMER="${newToken(customer)}"
export STAFF="${newToken(staff)}"

${colors.dim("# Or be a customer of your own: register, confirm it by the code that you were mailed, and use the access_token")}
curl ${url}/auth/register ${json} -d '{"username":"carla@example.test","password":"mango tango"}'
sleep 2; CODE=$(curl -s '${url}/api/mailbox?to=carla@example.test' ${auth("STAFF")} | grep -o 'Code: [0-9a-f]*' | head -1 | cut -c7-)
curl ${url}/auth/confirm ${json} -d '{"code":"'$CODE'","password":"mango tango"}'
curl ${url}/auth/login ${json} -d '{"username":"carla@example.test","password":"mango tango"}'

${colors.dim("# What there is")}
curl '${url}/api/catalog/products?q=mango' ${auth("CUSTOMER")}

${colors.dim("# Order: the first pizza starts it, the second call confirms it")}
curl ${url}/orders ${auth("CUSTOMER")} ${json} \\
  -d '{"id":"my-order","event":{"type":"ADD_PIZZA","data":{"id":"p1","pizza":"mango-tango"}}}'
curl ${url}/orders/my-order/events ${auth("CUSTOMER")} ${json} -d '{"type":"CONFIRM_PIZZA"}'

${colors.dim("# Look at it, and at what has happened")}
curl ${url}/orders/my-order ${auth("CUSTOMER")}
curl ${url}/orders/my-order/history ${auth("CUSTOMER")}

${colors.dim("# With its products and its chat room; and ask the support about it")}
curl ${url}/api/orders/my-order ${auth("CUSTOMER")}
curl ${url}/api/support/questions ${auth("CUSTOMER")} ${json} -d '{"question":"Can I still cancel?","order":"my-order"}'

${colors.dim("# All orders, a second or two later: by status, state, customer, incident …")}
curl '${url}/orders?state=bakePizza&counts=true' ${auth("STAFF")}

${colors.dim("# Be the kitchen and the courier")}
curl ${url}/kitchen/pending ${auth("STAFF")}
curl -X POST ${url}/kitchen/finish-next ${auth("STAFF")}
curl -X POST ${url}/delivery/finish-next ${auth("STAFF")}
curl ${url}/orderlog/log ${auth("STAFF")}

${colors.dim("# The mails that were sent, in the browser")}
${url}/mailbox#token=${tokens.staff}

${colors.dim("# What could not be delivered, from every queue")}
curl ${url}/dead-letters ${auth("STAFF")}
`);
}

function start(parameters: string[]) {
  return spawn(process.execPath, [wrangler, ...parameters], {
    cwd: root,
    env: { ...process.env, ...quietly },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    // A group of its own: stopping wrangler alone would leave the runtime holding the port.
    detached: true,
  });
}

async function run(parameters: string[]): Promise<void> {
  const child = spawn(process.execPath, [wrangler, ...parameters], {
    cwd: root,
    env: { ...process.env, ...quietly, CI: "true" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => (output += String(chunk)));
  child.stderr.on("data", (chunk) => (output += String(chunk)));
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`wrangler ${parameters.join(" ")} failed:\n${output}`);
}

function stop(group: number | undefined): void {
  if (group === undefined) return;
  try {
    process.kill(-group, "SIGTERM");
  } catch {
    // It has stopped by itself.
  }
}

function fail(error: unknown): void {
  console.error(error);
  process.exitCode = 1;
}

await checkedWorkflows();
await main();
