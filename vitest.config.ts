import { generateKeyPairSync, randomBytes } from "node:crypto";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { freePort } from "./bench/workerd.ts";
import { newKeys } from "./src/cli/keys.ts";
import { whoSeesOrders } from "./test/support/who-sees-orders.ts";
import { shopDocuments } from "./src/cli/documents.ts";
import { findBroker } from "./src/cli/broker-server.ts";

// Every run has keys of its own; the tests sign with the private half.
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const kid = "test";
const paymentSecrets = [randomBytes(24), randomBytes(24)].map((one) => one.toString("hex"));
// A receiver of webhooks outside of the runtime: the runtime's settings name its origin.
const sinkPort = await freePort();
/** A provider of mail, likewise. */
const mailSinkPort = await freePort();
/** Where an outside issuer publishes its keys. */
const keyServerPort = await freePort();
const newSecret = () => `whsec_${randomBytes(24).toString("base64")}`;
const webhookSecret = newSecret();
const hookSecret = newSecret();

const bindings = {
  TOKEN_KEYS: JSON.stringify({
    keys: [{ ...publicKey.export({ format: "jwk" }), kid, alg: "EdDSA", use: "sig" }],
  }),
  TOKEN_ISSUER: "https://issuer.test",
  TOKEN_AUDIENCE: "durachart",
  WEBHOOK_SENDERS: JSON.stringify([
    { name: "broker", tenant: "tropical", roles: ["service"], secrets: [webhookSecret] },
    ...["payments", "standard"].map((name) => ({
      ...{ name, hook: true, tenant: "tropical", roles: ["provider"] },
      secrets: name === "payments" ? paymentSecrets : [hookSecret],
    })),
  ]),
  ALLOWED_ORIGINS: "https://shop.test https://admin.test",
  TICKET_SECRET: randomBytes(32).toString("base64"),
  JOURNAL_KEYS: newKeys(),
  SECRETS_KEYS: newKeys(),
  TEST_SIGNING_KEY: JSON.stringify({ ...privateKey.export({ format: "jwk" }), kid }),
  TEST_WEBHOOK_SECRET: webhookSecret,
  TEST_HOOK_SECRET: hookSecret,
  WEBHOOK_LOCAL_TARGETS: `http://127.0.0.1:${sinkPort}`,
  TEST_PAYMENT_SECRETS: JSON.stringify(paymentSecrets),
};
/** The neighbours have projects of their own, and test/flow has all of them. Here nobody is around. */
const nobody = () => new Response(null, { status: 503 });
const serviceBindings = { AUTH: nobody, CATALOG: nobody, AVATARS: nobody };

/** The orchestrator's class, in the Worker under test itself. */
const countingHere = { TENANTS: { className: "Tenant", useSQLite: true } };

const isWithBroker = findBroker() !== null;
if (!isWithBroker) {
  if (process.env["DURACHART_LEAVE_NOTHING_OUT"]) throw new Error("There is no rabbitmq-server.");
  // Vitest reads this file once for itself and once for each project with a plugin.
  if (process.env["DURACHART_LEFT_OUT"] === undefined) {
    console.log(
      "Left out: the project rabbitmq, since RabbitMQ isn't installed here: sudo apt-get install -y --no-install-recommends rabbitmq-server, then npm test.",
    );
  }
  process.env["DURACHART_LEFT_OUT"] = "rabbitmq";
}

/** Of the tests that kill the one that waits more than it works: others may run beside it. */
const atEase = "test/chaos/neighbours.test.ts";

export default defineConfig({
  test: {
    // Most files wait for a runtime, a broker or a deadline: more of them than cores at once.
    maxWorkers: 3,
    // What fails on purpose says so in the log: DURACHART_TEST_LOGS=yes shows it.
    onConsoleLog: (text) =>
      process.env["DURACHART_TEST_LOGS"] !== undefined || !text.startsWith('{"level"'),
    projects: [
      {
        test: {
          name: "node",
          testTimeout: 30_000,
          setupFiles: ["test/support/seed.ts"],
          include: [
            "test/{audit,cloudevents,golden,kernel,machines,operations,repository,secrets,testing}/**/*.test.ts",
          ],
        },
      },
      {
        test: {
          name: "chaos",
          include: ["test/chaos/**/*.test.ts"],
          exclude: [atEase],
          // Its servers would fight with themselves over two cores.
          fileParallelism: false,
        },
      },
      { test: { name: "fuzz", include: ["test/fuzz/**/*.test.ts"], testTimeout: 300_000 } },
      {
        test: {
          name: "flow",
          include: ["test/{flow,webhooks/fleet,contract/fleet}/**/*.test.ts", atEase],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      ...(isWithBroker
        ? [
            {
              test: {
                name: "rabbitmq",
                include: ["test/rabbitmq/**/*.test.ts", "test/flow/shop*.test.ts"],
                env: { DURACHART_TEST_TRANSPORT: "rabbitmq" },
                testTimeout: 180_000,
                hookTimeout: 60_000,
              },
            },
          ]
        : []),
      {
        plugins: [
          cloudflareTest({
            main: "./test/support/worker.ts",
            wrangler: { configPath: "./wrangler.toml" },
            // Their rows and alarms are counted without the list's; test/list has it.
            miniflare: { bindings: { ...bindings, WITHOUT_LIST: "yes" }, serviceBindings },
          }),
        ],
        test: {
          name: "workerd",
          testTimeout: 30_000,
          env: { TEST_SINK_PORT: String(sinkPort) },
          globalSetup: ["test/support/webhook-sink-setup.ts"],
          include: [
            "test/{instance,ingress,broadcast,egress}/**/*.test.ts",
            "test/webhooks/*.test.ts",
          ],
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "./services/auth/worker.ts",
            wrangler: { configPath: "./services/auth/wrangler.toml" },
            miniflare: {
              bindings: {
                TOKEN_ISSUER: "https://issuer.test",
                TOKEN_AUDIENCE: "durachart",
                AUTH_SECRET: newSecret(),
                AUTH_TENANT: "tropical",
                TEST_KEY_SERVER: `http://127.0.0.1:${keyServerPort}`,
                ACCOUNTS_MIGRATIONS: await readD1Migrations("services/auth/migrations"),
              },
            },
          }),
        ],
        test: {
          name: "auth",
          testTimeout: 30_000,
          env: { TEST_KEY_SERVER_PORT: String(keyServerPort) },
          globalSetup: ["test/support/key-server.ts"],
          setupFiles: ["test/support/accounts.ts"],
          include: ["test/auth/**/*.test.ts"],
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "./test/support/orderlog-counted.ts",
            wrangler: { configPath: "./services/orderlog/wrangler.toml" },
            miniflare: {
              bindings: {
                ...bindings,
                LOG_MIGRATIONS: await readD1Migrations("services/orderlog/migrations"),
              },
              durableObjects: countingHere,
              serviceBindings: { AUTH: nobody },
            },
          }),
        ],
        test: {
          name: "orderlog",
          testTimeout: 30_000,
          setupFiles: ["test/support/log-database.ts"],
          include: ["test/orderlog/**/*.test.ts"],
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "./test/support/chat-counted.ts",
            wrangler: { configPath: "./services/chat/wrangler.toml" },
            miniflare: {
              bindings: {
                ...bindings,
                CHAT_MIGRATIONS: await readD1Migrations("services/chat/migrations"),
              },
              durableObjects: countingHere,
              serviceBindings: { ...serviceBindings, ORCHESTRATOR: whoSeesOrders },
            },
          }),
        ],
        test: {
          name: "chat",
          testTimeout: 30_000,
          setupFiles: ["test/support/chat-database.ts", "test/support/seed.ts"],
          include: ["test/chat/**/*.test.ts"],
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "./test/contract/worker.ts",
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                ...bindings,
                LIST_MIGRATIONS: await readD1Migrations("migrations/list"),
              },
              d1Databases: { OTHER_LIST: "other-list" },
              serviceBindings,
            },
          }),
        ],
        test: {
          name: "contract",
          include: ["test/contract/transports/*.test.ts"],
          setupFiles: ["test/support/list-databases.ts"],
          testTimeout: 30_000,
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "./test/support/worker.ts",
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                ...bindings,
                LIST_MIGRATIONS: await readD1Migrations("migrations/list"),
              },
              d1Databases: { OTHER_LIST: "other-list" },
              serviceBindings,
            },
          }),
        ],
        test: {
          name: "list",
          testTimeout: 30_000,
          include: ["test/list/**/*.test.ts"],
          setupFiles: ["test/support/list-databases.ts", "test/support/seed.ts"],
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "./services/support/worker.ts",
            wrangler: { configPath: "./services/support/wrangler.toml" },
            miniflare: {
              bindings: { SHOP_DOCUMENTS: JSON.stringify(shopDocuments()) },
              serviceBindings: { ORCHESTRATOR: nobody },
            },
          }),
        ],
        test: {
          name: "support",
          testTimeout: 30_000,
          include: ["test/support-desk/**/*.test.ts"],
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "./services/catalog/worker.ts",
            wrangler: { configPath: "./services/catalog/wrangler.toml" },
            miniflare: {
              bindings: {
                CATALOG_MIGRATIONS: await readD1Migrations("services/catalog/migrations"),
              },
            },
          }),
        ],
        test: {
          name: "catalog",
          testTimeout: 60_000,
          setupFiles: ["test/support/products.ts", "test/support/seed.ts"],
          include: ["test/catalog/**/*.test.ts"],
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "./services/mailer/worker.ts",
            wrangler: { configPath: "./services/mailer/wrangler.toml" },
            miniflare: {
              bindings: {
                MAIL_PROVIDER: "mailbox",
                WEBHOOK_LOCAL_TARGETS: `http://127.0.0.1:${mailSinkPort}`,
                MAILS_MIGRATIONS: await readD1Migrations("services/mailer/migrations"),
              },
              serviceBindings: { ADDRESSES: nobody },
            },
          }),
        ],
        test: {
          name: "mailer",
          testTimeout: 30_000,
          env: { TEST_SINK_PORT: String(mailSinkPort) },
          globalSetup: ["test/support/webhook-sink-setup.ts"],
          setupFiles: ["test/support/mails-database.ts", "test/support/seed.ts"],
          include: ["test/mailer/**/*.test.ts"],
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "./services/avatars/worker.ts",
            wrangler: { configPath: "./services/avatars/wrangler.toml" },
          }),
        ],
        test: {
          name: "avatars",
          testTimeout: 30_000,
          include: ["test/avatars/**/*.test.ts"],
        },
      },
    ],
  },
});
