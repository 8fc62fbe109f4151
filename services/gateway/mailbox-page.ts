/**
 * Reads the token from the fragment, which browsers send to nobody, and takes it out of the address, so
 * that it doesn't stay in the history. What it is told is text to it (`textContent`); a mail's HTML goes
 * into a frame that may do nothing.
 */
const script = `
const token = new URLSearchParams(location.hash.slice(1)).get("token");
history.replaceState(null, "", location.pathname);
const list = document.getElementById("mails");
const said = document.getElementById("said");
const to = document.getElementById("to");
const closed = '<meta http-equiv="Content-Security-Policy" content="default-src \\'none\\'; style-src \\'unsafe-inline\\'">';

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className !== undefined) made.className = className;
  return made;
}

function shown(mail) {
  const details = element("details");
  const summary = element("summary");
  summary.append(element("b", mail.subject), element("span", mail.to), element("time", mail.at));
  const frame = element("iframe");
  frame.setAttribute("sandbox", "");
  frame.title = mail.subject;
  frame.srcdoc = closed + mail.html;
  details.append(summary, frame, element("pre", mail.text));
  return details;
}

async function load() {
  if (!token) {
    said.textContent = "Open this page as /mailbox#token=… with the token of a service or an operator.";
    return;
  }
  said.textContent = "Loading …";
  const query = to.value === "" ? "" : "?to=" + encodeURIComponent(to.value);
  try {
    const answer = await fetch("/api/mailbox" + query, { headers: { Authorization: "Bearer " + token } });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail);
    list.replaceChildren(...body.mails.map(shown));
    said.textContent = body.mails.length === 0 ? "There are no mails." : body.mails.length + " mails, the newest first";
  } catch (error) {
    said.textContent = error.message;
  }
}

document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  void load();
});
void load();
`;

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mailbox</title>
<style>
body { margin: 2rem auto; max-width: 50rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; color: #3d2c1e; background: #fdf6ec; }
form { display: flex; gap: .5rem; }
input { flex: 1; font: inherit; padding: .3rem; }
button { font: inherit; padding: .3rem 1rem; }
details { background: #fff; border-radius: 8px; margin: .5rem 0; padding: .5rem 1rem; }
summary { display: flex; flex-wrap: wrap; gap: .25rem 1rem; cursor: pointer; }
time { margin-left: auto; color: #7a6250; }
iframe { width: 100%; height: 28rem; border: 1px solid #eee; margin-top: .5rem; }
pre { white-space: pre-wrap; }
</style>
</head>
<body>
<h1>Mailbox</h1>
<form id="search"><input id="to" aria-label="To" placeholder="All addresses"><button>Show</button></form>
<p id="said" role="status"></p>
<div id="mails"></div>
<noscript>This page needs JavaScript.</noscript>
<script>${script}</script>
</body>
</html>
`;

/** The page, without any data. What it may do is said by its policy: one script, and requests to here. */
export async function mailboxPage(): Promise<Response> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(script));
  const hash = btoa(String.fromCharCode(...new Uint8Array(digest)));
  return new Response(page, {
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      // Frames inherit it: mails are styled in their attributes.
      "Content-Security-Policy": [
        `default-src 'none'; script-src 'sha256-${hash}'; style-src 'unsafe-inline'; connect-src 'self'`,
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      ].join("; "),
      "Referrer-Policy": "no-referrer",
      "X-Frame-Options": "DENY",
    },
  });
}
