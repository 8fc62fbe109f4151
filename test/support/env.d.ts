declare namespace Cloudflare {
  interface Env {
    INSTANCES: DurableObjectNamespace<
      InstanceType<ReturnType<typeof import("../../src/instance/instance.ts").instanceClass>>
    >;
    TENANTS: DurableObjectNamespace<
      InstanceType<ReturnType<typeof import("../../src/tenants/tenant.ts").tenantClass>>
    >;
    KITCHEN_QUEUE: Queue;
    DELIVERY_QUEUE: Queue;
    ORDERLOG_QUEUE: Queue;
    DEAD_LETTERS: Queue;
    ARCHIVE: R2Bucket;
    PAYLOADS: R2Bucket;
    LIST: D1Database;
    LIST_QUEUE: Queue;
    /** Of test/list alone. */
    OTHER_LIST: D1Database;
    LIST_MIGRATIONS: import("cloudflare:test").D1Migration[];
    /** Of test/auth alone. */
    ACCOUNTS: D1Database;
    ACCOUNTS_MIGRATIONS: import("cloudflare:test").D1Migration[];
    /** Of test/chat alone. */
    ROOMS: DurableObjectNamespace<import("../../services/chat/room.ts").Room>;
    CHAT_DB: D1Database;
    CHAT_MIGRATIONS: import("cloudflare:test").D1Migration[];
    AUTH_SECRET: string;
    AUTH_TENANT: string;
    TEST_KEY_SERVER: string;
    /** Of test/catalog alone. */
    CATALOG_DB: D1Database;
    CATALOG_MIGRATIONS: import("cloudflare:test").D1Migration[];
    SHELVES: DurableObjectNamespace<import("../../services/catalog/shelf.ts").Shelf>;
    PICTURES: R2Bucket;
    /** Of test/mailer alone. */
    MAILS_DB: D1Database;
    MAILS_MIGRATIONS: import("cloudflare:test").D1Migration[];
    /** Of test/avatars alone. */
    AVATARS_BUCKET: R2Bucket;
    /** Of test/support-desk alone. */
    SHOP_DOCUMENTS: string;
    LIBRARIES: DurableObjectNamespace<import("../../services/support/library.ts").Library>;
    TOKEN_KEYS: string;
    TOKEN_ISSUER: string;
    TOKEN_AUDIENCE: string;
    WEBHOOK_SENDERS: string;
    JOURNAL_KEYS: string;
    TEST_SIGNING_KEY: string;
    TEST_WEBHOOK_SECRET: string;
    /** The origin of the receiver of webhooks. */
    WEBHOOK_LOCAL_TARGETS: string;
    /** Of the hook "standard". */
    TEST_HOOK_SECRET: string;
    /** JSON: the payment provider's, the old and the new one. */
    TEST_PAYMENT_SECRETS: string;
    WEBHOOKS: DurableObjectNamespace<
      InstanceType<ReturnType<typeof import("../../src/webhooks/webhooks.ts").webhooksClass>>
    >;
  }
  interface GlobalProps {
    mainModule: typeof import("./worker.ts");
    durableNamespaces: "Instance";
  }
}
