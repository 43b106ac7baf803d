/**
 * A block of code: what language it is in, a button that copies it, the code. It can grow, so that a selection in it
 * stays, and the button under a finger too, while more is being written.
 */

const COPIED_FOR = 2000; // milliseconds

/** Make the element of some code; `language` may be empty. */
export function codeBlock(code, language) {
  const made = document.createElement("div");
  made.className = "code";
  made.append(caption(made, language), shown(code, language));
  return made;
}

/** Have an element of `codeBlock` show `code`; what it shows already stays as it is. */
export function growCode(made, code) {
  const text = made.querySelector("code").firstChild;
  if (text && code.startsWith(text.data)) text.appendData(code.slice(text.length));
  else made.querySelector("code").textContent = code;
}

function shown(code, language) {
  const pre = document.createElement("pre");
  const inner = document.createElement("code");
  inner.textContent = code;
  pre.append(inner);
  // What may be wider than the page can be scrolled by keyboard too, and so needs a name.
  pre.className = "wide";
  return Object.assign(pre, { tabIndex: 0, role: "region", ariaLabel: language ? `Code in ${language}` : "Code" });
}

function caption(made, language) {
  const line = document.createElement("p");
  line.append(language);
  if (!navigator.clipboard) return line; // it is there on secure origins only
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Copy code" });
  button.addEventListener("click", () => copy(button, made.querySelector("code").textContent));
  line.append(button);
  return line;
}

/** Copy `text`, and say so on the button that was pressed. */
export async function copy(button, text) {
  const words = button.dataset.words ?? button.textContent;
  button.dataset.words = words;
  button.textContent = await navigator.clipboard.writeText(text).then(() => "Copied", () => "Not allowed");
  setTimeout(() => { button.textContent = words; }, COPIED_FOR);
}
