/** An advisory that we live with, by its GHSA id in `audit-explained.json`. */
export interface Explained {
  package: string;
  /** Why it does no harm here. */
  reason: string;
  /** When that was looked at, ISO 8601. It is good for 180 days. */
  date: string;
}

interface Advisory {
  name: string;
  title: string;
  severity: string;
  url: string;
}

/** As `npm audit --json` gives it (version 2). */
export interface AuditReport {
  vulnerabilities?: Record<string, { via: (Advisory | string)[] }>;
  error?: { code?: string; summary?: string };
  message?: string;
}

const GOOD_FOR = 180 * 24 * 3_600_000;

/**
 * What is left to be mended or explained, a line each.
 *
 * @param now milliseconds since the epoch
 * @throws Error where npm has made no report
 */
export function judge(
  { vulnerabilities, error, message }: AuditReport,
  explained: Readonly<Record<string, Explained>>,
  now: number,
): string[] {
  if (vulnerabilities === undefined) {
    throw new Error(`npm audit: ${error?.summary || message || error?.code || "no report"}`);
  }
  const lines = new Set<string>();
  for (const { via } of Object.values(vulnerabilities)) {
    for (const advisory of via) {
      // The name of another package that brings it, which has an entry of its own.
      if (typeof advisory === "string" || isExplained(advisory, explained, now)) continue;
      const { name, title, severity, url } = advisory;
      lines.add(`${name}: ${title} (${severity}), ${url}`);
    }
  }
  return [...lines];
}

function isExplained(
  { name, url }: Advisory,
  explained: Readonly<Record<string, Explained>>,
  now: number,
): boolean {
  const entry = explained[url.split("/").at(-1)!];
  if (entry === undefined || entry.package !== name || entry.reason.trim() === "") return false;
  const age = now - Date.parse(entry.date);
  return age >= 0 && age < GOOD_FOR;
}
