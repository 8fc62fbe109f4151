/** Milliseconds that the mail with the code may take: the mailer's queue waits a second for more. */
const PATIENCE = 15_000;

/**
 * Registers somebody at a local shop, as everybody may: with the code from the mail that the local mailbox
 * got.
 *
 * @param staff a token that may look into the mailbox
 * @param login the username is an address of mail
 * @returns her access token
 */
export async function signUp(
  url: string,
  staff: string,
  login: { username: string; password: string },
): Promise<string> {
  await post(url, "/auth/register", login);
  const code = await mailedCode(url, staff, login.username);
  const granted = await post(url, "/auth/confirm", { code, password: login.password });
  return (granted as { access_token: string }).access_token;
}

/** The newest code that was mailed to an address. */
export async function mailedCode(url: string, staff: string, address: string): Promise<string> {
  const mailbox = new URL("/api/mailbox", url);
  mailbox.searchParams.set("to", address);
  for (const deadline = performance.now() + PATIENCE; performance.now() < deadline;) {
    const response = await fetch(mailbox, { headers: { Authorization: `Bearer ${staff}` } });
    const { mails } = (await answered(response)) as { mails: { text: string }[] };
    for (const { text } of mails) {
      const [, code] = /^Code: ([0-9a-f]+)$/m.exec(text) ?? [];
      if (code !== undefined) return code;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`No code was mailed to ${address}.`);
}

async function post(url: string, path: string, body: object): Promise<unknown> {
  const response = await fetch(new URL(path, url), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return answered(response);
}

async function answered(response: Response): Promise<unknown> {
  if (response.ok) return response.json();
  const { pathname } = new URL(response.url);
  throw new Error(`${pathname}: ${response.status} ${await response.text()}`);
}
