/**
 * A markdown text that grows, shown as it grows: only what changed is made anew, so that a selection in what was said
 * before stays, and a long answer costs no more at its end than at its beginning.
 */

import { blocks } from "./blocks.js";
import { element, inline } from "./inline.js";

export class Markdown {
  #into;
  #text = "";
  #settled = 0; // blocks that will not change any more
  #from = 0; // where the others begin in the text

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
    // A block stands once its first line does: `1.` may become a list, or the beginning of `1.5`.
    const standing = found.findLastIndex(({ start }) => rest.includes("\n", start));
    const made = found.map(block);
    for (const old of [...this.#into.children].slice(this.#settled)) old.remove();
    this.#into.append(...made);
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

  #forget() {
    this.#into.replaceChildren();
    this.#settled = 0;
    this.#from = 0;
  }
}

const MAKERS = {
  paragraph: ({ text }) => element("p", ...inline(text)),
  // The page's own headings come first: an answer's begin at the third level.
  heading: ({ level, text }) => element(`h${Math.min(level + 2, 6)}`, ...inline(text)),
  rule: () => element("hr"),
  quote: (quoted) => element("blockquote", ...quoted.blocks.map(block)),
  list: makeList,
  table: makeTable,
  code: makeCode,
};

function block(found) {
  return MAKERS[found.kind](found);
}

function makeList({ isOrdered, first, items }) {
  const list = element(isOrdered ? "ol" : "ul", ...items.map((item) => element("li", ...makeItem(item))));
  if (isOrdered) list.start = first;
  return list;
}

/** An item's first paragraph stands without its element, so that lists stay tight. */
function makeItem(item) {
  const [first, ...rest] = item;
  if (first?.kind !== "paragraph") return item.map(block);
  return [...inline(first.text), ...rest.map(block)];
}

function makeTable({ head, rows }) {
  const row = (name) => (texts) => element("tr", ...texts.map((text) => element(name, ...inline(text))));
  const table = element("table", element("thead", row("th")(head)), element("tbody", ...rows.map(row("td"))));
  return scrolling(element("div", table), "Table");
}

function makeCode({ language, code }) {
  const shown = scrolling(element("pre", element("code", code)), language ? `Code in ${language}` : "Code");
  if (language) shown.dataset.language = language;
  return shown;
}

/** What may be wider than the page can be scrolled by keyboard too, and so needs a name. */
function scrolling(made, label) {
  Object.assign(made, { tabIndex: 0, role: "region", ariaLabel: label });
  made.classList.add("wide");
  return made;
}
