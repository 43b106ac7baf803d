/**
 * A line of markdown as DOM nodes: code, strong, emphasis, strikethrough, links.
 *
 * The text is a stranger's. Nodes are made one by one and text only ever becomes a text node, so that nothing in it
 * can be markup; a link leads to http or https, and nowhere else.
 */

// No span is longer: without a bound, a text of nothing but asterisks takes time in the square of its length.
const SPAN = "{1,1000}?";

const SPANS = new RegExp(
  [
    String.raw`\\(?<escaped>[\\\x60*_{}[\]()#+.!|~>-])`,
    String.raw`(?<!\x60)(?<ticks>\x60{1,3})(?!\x60)(?<code>[^]${SPAN})(?<!\x60)\k<ticks>(?!\x60)`,
    String.raw`\*\*(?=\S)(?<strong>[^]${SPAN})(?<=\S)\*\*(?!\*)`,
    String.raw`(?<!\*)\*(?=[^\s*])(?<em>[^*]${SPAN})(?<=\S)\*(?!\*)`,
    String.raw`(?<!\w)_(?=[^\s_])(?<em_>[^_]${SPAN})(?<=\S)_(?!\w)`,
    String.raw`~~(?=\S)(?<del>[^]${SPAN})(?<=\S)~~`,
    String.raw`\[(?<label>[^\]\n]${SPAN})\]\((?<href>https?://[^\s()]${SPAN})\)`,
    String.raw`(?<url>\bhttps?://[^\s<>"'\x60()[\]]{0,1000}[^\s<>"'\x60()[\].,;:!?*_])`,
  ].join("|"),
  "g",
);

const MAKERS = {
  escaped: ({ escaped }) => escaped,
  code: ({ code }) => element("code", code),
  strong: ({ strong }) => element("strong", ...inline(strong)),
  em: ({ em }) => element("em", ...inline(em)),
  em_: ({ em_ }) => element("em", ...inline(em_)),
  del: ({ del }) => element("del", ...inline(del)),
  label: ({ label, href }) => link(href, ...inline(label)),
  url: ({ url }) => link(url, url),
};

/**
 * Return what `text` says, as nodes and strings for `append`.
 *
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function inline(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(SPANS)) {
    const kind = Object.keys(MAKERS).find((name) => match.groups[name] !== undefined);
    parts.push(text.slice(end, match.index), MAKERS[kind](match.groups));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return parts.filter((part) => part !== "");
}

/** Make an element of `children`, strings among them as text. */
export function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function link(href, ...children) {
  const made = element("a", ...children);
  Object.assign(made, { href, target: "_blank", rel: "noopener noreferrer nofollow" });
  return made;
}
