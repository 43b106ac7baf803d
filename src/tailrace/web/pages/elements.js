/**
 * Markdown's tokens as DOM nodes.
 *
 * The text is a stranger's. Nodes are made one by one, of elements and attributes that stand in this module, and text
 * only ever becomes a text node: whatever a parser may let through, nothing in it can be markup. A link leads to the
 * web or to a mail program, and nowhere else; an image is a link, since loading it would tell a stranger who reads.
 */

import { codeBlock } from "./code.js";

const SAFE = /^(?:https?:\/\/|mailto:)/i;

/** Whether a link may lead there. */
export function isSafe(href) {
  return SAFE.test(href);
}

/** The elements that stand for themselves, by the type of their opening token. */
const PLAIN = {
  paragraph_open: "p",
  blockquote_open: "blockquote",
  bullet_list_open: "ul",
  list_item_open: "li",
  thead_open: "thead",
  tbody_open: "tbody",
  tr_open: "tr",
  strong_open: "strong",
  em_open: "em",
  s_open: "del",
};

const OPENERS = {
  // The page's own headings come first: an answer's begin at the third level.
  heading_open: ({ tag }) => element(`h${Math.min(Number(tag.slice(1)) + 2, 6)}`),
  ordered_list_open: (token) => Object.assign(element("ol"), { start: Number(token.attrGet("start") ?? 1) }),
  link_open: (token) => link(token.attrGet("href")),
  table_open: () => element("table"),
  th_open: cell,
  td_open: cell,
};

const LEAVES = {
  inline: ({ children }) => nodes(children),
  code_inline: ({ content }) => [element("code", content)],
  softbreak: () => ["\n"],
  hardbreak: () => [element("br")],
  hr: () => [element("hr")],
  image: (token) => [link(token.attrGet("src"), token.content || "image")],
  fence: ({ content, info }) => [codeBlock(content, info.trim().split(/\s+/)[0])],
  code_block: ({ content }) => [codeBlock(content, "")],
};

/**
 * Return what `tokens` say, as nodes and strings for `append`.
 *
 * @param {object[]} tokens as markdown-it makes them
 * @returns {(Node | string)[]}
 */
export function nodes(tokens) {
  const made = [];
  const open = []; // each with its own `append`, the innermost last
  for (const token of tokens) {
    if (token.hidden) continue; // a paragraph in a tight list
    const into = open.at(-1);
    if (token.nesting === -1) {
      open.pop();
      continue;
    }
    const found = token.nesting === 1 ? [opened(token)] : leaves(token);
    if (token.nesting === 1) open.push(found[0]);
    const shown = found.map(framed);
    if (into) into.append(...shown);
    else made.push(...shown);
  }
  return made;
}

function opened(token) {
  return OPENERS[token.type]?.(token) ?? element(PLAIN[token.type] ?? "span");
}

function leaves(token) {
  return LEAVES[token.type]?.(token) ?? [token.content];
}

/** Make an element of `children`, strings among them as text. */
export function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function link(href, ...children) {
  if (!isSafe(href)) return element("span", ...children);
  const made = element("a", ...children);
  return Object.assign(made, { href, target: "_blank", rel: "noopener noreferrer nofollow" });
}

function cell(token) {
  const made = element(token.tag === "th" ? "th" : "td");
  const [align] = /center|right/.exec(token.attrGet("style")) ?? [];
  if (align) made.dataset.align = align;
  return made;
}

/** A table may be wider than the page: it can be scrolled, by keyboard too, and so needs a name. */
function framed(made) {
  if (made.tagName !== "TABLE") return made;
  const frame = element("div", made);
  frame.classList.add("wide");
  return Object.assign(frame, { tabIndex: 0, role: "region", ariaLabel: "Table" });
}
