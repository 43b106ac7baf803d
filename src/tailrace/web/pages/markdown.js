/**
 * A markdown text that grows, shown as it grows: only what changed is made anew, so that a selection in what was said
 * before stays, and a long answer costs no more at its end than at its beginning.
 *
 * Reading it is markdown-it's part, making elements that of `elements.js`.
 */

import { growCode } from "./code.js";
import { isSafe, nodes } from "./elements.js";
import MarkdownIt from "./markdown-it.js";

// A definition of a reference at the end of a text would change its beginning, which has been read by then.
const parser = new MarkdownIt({ html: false, linkify: true }).disable("reference");
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
parser.validateLink = isSafe;

// What a block is can depend on its second line: `a|b` is a table if that rules it off.
const LINES_TO_STAND = 2;

/** markdown-it reads these as ends of lines. */
const LINE_END = /\r\n?|\n/g;

export class Markdown {
  #into;
  #text = "";
  #settled = 0; // nodes that will not change any more
  #from = 0; // where the others begin in the text
  #last = null; // the last block, where it is code that may grow

  /** @param {Element} into the element whose children show the text, one for each block */
  constructor(into) {
    this.#into = into;
  }

  /**
   * Show `text`; return the elements that have settled: they will not change as long as the text only grows.
   *
   * @param {string} text
   * @returns {Element[]}
   */
  show(text) {
    if (text === this.#text) return [];
    if (!text.startsWith(this.#text)) this.#forget();
    this.#text = text;
    const rest = text.slice(this.#from);
    const found = blocks(rest);
    const standing = found.findLastIndex(({ start }) => stands(rest, start));
    const made = this.#replace(found);
    if (standing > 0) {
      this.#settled += standing;
      this.#from += found[standing].start;
    }
    return made.slice(0, Math.max(standing, 0));
  }

  /** The elements that could still have changed, were the text not at its end. */
  get unsettled() {
    return [...this.#into.children].slice(this.#settled);
  }

  /** Show `found` in place of what has not settled; return an element for each. */
  #replace(found) {
    const kept = this.#grown(found[0]);
    const made = found.map((block) => (block === found[0] && kept) || nodes(block.tokens)[0]);
    for (const old of this.unsettled) if (old !== kept) old.remove();
    this.#into.append(...made.filter((each) => each !== kept));
    const last = found.at(-1);
    this.#last = last && isCode(last) ? { element: made.at(-1), info: last.tokens[0].info } : null;
    return made;
  }

  /** The element of the code that was being written, now with all of it; null where it is not that. */
  #grown(block) {
    const was = this.#last;
    const isSame = was && block && was.element === this.unsettled[0] && isCode(block);
    if (!isSame || block.tokens[0].info !== was.info) return null;
    growCode(was.element, block.tokens[0].content);
    return was.element;
  }

  #forget() {
    this.#into.replaceChildren();
    this.#settled = 0;
    this.#from = 0;
    this.#last = null;
  }
}

/** The blocks of a text: the tokens of each, and the offset of its first line. */
function blocks(text) {
  const lines = [0, ...Array.from(text.matchAll(LINE_END), (end) => end.index + end[0].length)];
  const found = [];
  for (const token of parser.parse(text, {})) {
    if (token.level === 0 && token.nesting >= 0 && token.type !== "inline") {
      found.push({ start: lines[token.map[0]], tokens: [] });
    }
    found.at(-1).tokens.push(token);
  }
  return found;
}

function stands(text, start) {
  return (text.slice(start).match(LINE_END) ?? []).length >= LINES_TO_STAND;
}

function isCode({ tokens }) {
  return tokens[0].type === "fence";
}
