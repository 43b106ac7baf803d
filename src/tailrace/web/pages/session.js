/**
 * Who a page of ours is to the server: signed in, by a cookie that no script can read, or nobody in particular.
 */

const SESSION = new URL("auth/session", document.baseURI);

/** The credential itself, where a browser says too little about a page for the server to trust its cookie. */
let credential = "";

/** What to send along with each request. */
export function headers() {
  return credential ? { Authorization: `Bearer ${credential}` } : {};
}

/** Sign in; return nothing, or what there is against it, for people. */
export async function signIn(key) {
  const response = await fetch(SESSION, { method: "POST", headers: { Authorization: `Bearer ${key}` } });
  if (!response.ok) return (await problem(response)) || `The server said ${response.status}.`;
  // Over plain http from another machine a cookie is worth nothing; it then lasts as long as this page.
  credential = window.isSecureContext ? "" : key;
  return "";
}

/** Forget who this is. */
export async function signOut() {
  credential = "";
  await fetch(SESSION, { method: "DELETE" });
}

/** The name of who is signed in; empty for nobody, or where nobody need be. */
export async function whoami() {
  const response = await fetch(SESSION, { headers: headers() }).catch(() => null);
  return response?.ok ? ((await response.json()).name ?? "") : "";
}

/** What a refusal says (RFC 9457), if it says anything. */
export async function problem(response) {
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  return isProblem ? (await response.json()).detail : "";
}
