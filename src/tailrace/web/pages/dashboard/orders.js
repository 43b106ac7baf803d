/** What is done about something: asked for twice, and told to the server, which may still refuse. */

const dialog = document.querySelector("#confirm");

/** Ask whether to do something; whether the answer was yes. Escape is no. */
export function confirmed(question, detail, yes) {
  const [no, go] = dialog.querySelectorAll("button");
  dialog.querySelector("h2").textContent = question;
  dialog.querySelector("p").textContent = detail;
  go.textContent = yes;
  return new Promise((resolve) => {
    no.onclick = () => dialog.close("no");
    go.onclick = () => dialog.close("yes");
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
    dialog.returnValue = "no";
    dialog.showModal();
    no.focus();
  });
}

/** Have the server do something; what became of it, in a sentence. */
export async function ordered(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const told = await answer.json();
    if (!answer.ok) return `Refused: ${told.detail ?? answer.status}`;
    return answer.status === 202 ? "Asked for." : `Done: ${told.status}.`;
  } catch {
    return "The server could not be reached.";
  }
}
