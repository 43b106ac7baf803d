/**
 * One question and its answer on the page. It shows what the data says, as often as it is told to; it decides nothing.
 */

import { isOver } from "./answer.js";
import { copy } from "./code.js";
import { element } from "./elements.js";
import { Markdown } from "./markdown.js";
import { describe, facts } from "./notices.js";

const TOLD_BY_THE_ANSWER = new Set(["stopped", "failed", "gone"]);

export class TurnView {
  /** The element to put on the page. */
  element;

  #turn;
  #parts;
  #markdown;
  #foldedByReader = false;

  /** `turn` as in a conversation; `template`: the page's element with the parts; `onShare(turn, button)`. */
  constructor(turn, template, onShare) {
    this.#turn = turn;
    this.element = template.content.cloneNode(true).firstElementChild;
    const find = (name) => this.element.querySelector(`.${name}`);
    const names = ["thinking", "summary", "thoughts", "text", "tools", "ending", "facts", "copy", "share"];
    this.#parts = Object.fromEntries(names.map((name) => [name, find(name)]));
    this.#markdown = new Markdown(this.#parts.text);
    find("question").textContent = turn.question;
    find("question").hidden = turn.question === ""; // an answer to somebody else
    this.#parts.share.addEventListener("click", () => onShare(turn, this.#parts.share));
    this.#parts.summary.addEventListener("click", () => { this.#foldedByReader = true; });
    this.#parts.copy.addEventListener("click", () => copy(this.#parts.copy, turn.answer.text));
  }

  /** Show the answer as it is now; return the elements that have become final, to be read out. */
  show() {
    const { answer } = this.#turn;
    this.element.dataset.state = answer.state;
    this.element.ariaBusy = String(!isOver(answer));
    this.#showThinking(answer);
    this.#showTools(answer);
    this.#parts.share.hidden = answer.run === null || this.#turn.question === "" || answer.state === "gone";
    const settled = this.#markdown.show(answer.text);
    if (!isOver(answer)) return settled;
    this.#showEnd(answer);
    return [...settled, ...this.#markdown.unsettled, this.#parts.ending];
  }

  #showThinking({ thinking, text, state }) {
    const { thinking: fold, summary, thoughts } = this.#parts;
    const isThinking = text === "" && !isOver({ state });
    fold.hidden = thinking === "";
    grow(thoughts, thinking);
    summary.textContent = isThinking ? "Thinking…" : "What it thought first";
    // Open while there is nothing else to read, then out of the way; unless the reader has chosen.
    if (!this.#foldedByReader) fold.open = isThinking;
  }

  #showTools({ tools }) {
    const { tools: list } = this.#parts;
    list.hidden = tools.length === 0;
    while (list.children.length > tools.length) list.lastChild.remove(); // the answer began anew
    for (const [index, call] of tools.entries()) {
      const item = list.children[index] ?? list.appendChild(element("li", element("b"), " ", element("code")));
      grow(item.querySelector("b"), call?.name ?? "");
      grow(item.querySelector("code"), call?.arguments ?? "");
    }
  }

  #showEnd(answer) {
    const { ending, facts: line, copy } = this.#parts;
    if (TOLD_BY_THE_ANSWER.has(answer.state)) ending.textContent = describe(answer).detail;
    line.textContent = facts(answer).join(" · ");
    // The clipboard is there on secure origins only.
    copy.hidden = !answer.text || !navigator.clipboard;
  }
}

/** Set an element's text; where it only grew, what is there stays, and with it what the reader has selected. */
function grow(element, text) {
  const node = element.firstChild;
  if (node && text.startsWith(node.data)) node.appendData(text.slice(node.length));
  else element.textContent = text;
}
