/**
 * What a sender signs. Standard Webhooks signs the body alone; a CloudEvent in binary mode carries
 * its type, subject and id in headers, which a signed body doesn't protect. So those headers are
 * signed as well: `name:value` and a newline each, in the order of their lower-case names, before
 * the body. Without `ce-` headers this is the body, as the standard has it.
 */
export function signedContent(headers: Headers, body: string): string {
  const attributes = [...headers].filter(([name]) => name.startsWith("ce-"));
  return attributes.map(([name, value]) => `${name}:${value}\n`).join("") + body;
}
