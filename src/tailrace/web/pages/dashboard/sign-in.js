/** Signs in with a key or token: the server answers with a cookie which no script can read. */

const form = document.querySelector("#sign-in");
const said = document.querySelector("#said");
const field = form.elements.key;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  said.textContent = "";
  try {
    said.textContent = await signIn(field.value.trim());
  } catch {
    said.textContent = "The server cannot be reached.";
  }
  field.select();
});

/** Sign in and show the page; why not, where that fails. */
async function signIn(key) {
  // Browsers say whose page asks over https and on one machine alone, and the server believes no cookie without that.
  if (!window.isSecureContext) return "Signing in needs https, or this machine: an SSH tunnel will do.";
  // What no header can carry is no key.
  if (!/^[\x21-\x7e]+$/.test(key)) return "That is no key or token.";
  const answer = await fetch("auth/session", { method: "POST", headers: { authorization: `Bearer ${key}` } });
  const told = await answer.json();
  if (!answer.ok) return told.detail ?? `The server answered ${answer.status}.`;
  if (!told.scopes.includes("admin")) {
    await fetch("auth/session", { method: "DELETE" });
    return "This key may not see this page: it has not the scope admin.";
  }
  location.reload();
  return "";
}
