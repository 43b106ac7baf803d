/**
 * Markdown cut into blocks: headings, paragraphs, lists, quotes, tables, code. Only strings are read here; nodes are
 * made elsewhere.
 *
 * Reading goes line by line and never looks back, so that a text which grows changes nothing but its last block.
 */

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}>/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])([ \t]+|$)/;
const TABLE_RULE = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const BLANK = /^[ \t]*$/;

// Deeper nesting is text: a hostile line of a thousand `>` must not become a thousand calls.
const DEEPEST = 8;

/**
 * A block: `kind`, what is particular to it, and `start`, the offset of its first line in the text.
 *
 * @typedef {{kind: string, start: number, [more: string]: any}} Block
 */

/**
 * Cut `text` into blocks.
 *
 * @param {string} text
 * @returns {Block[]}
 */
export function blocks(text, depth = 0) {
  const reader = new Lines(text);
  const found = [];
  for (reader.skipBlank(); !reader.done; reader.skipBlank()) {
    const { start } = reader;
    const read = READERS.find((each) => each.begins(reader, depth));
    found.push({ ...read.block(reader, depth), start });
  }
  return found;
}

/** The lines of a text, and how far they are read. `start` is the offset of the current line. */
class Lines {
  start = 0;
  #lines;
  #next = 0;

  constructor(text) {
    this.#lines = text.split("\n");
  }

  get done() {
    return this.#next >= this.#lines.length;
  }

  get line() {
    return this.#lines[this.#next];
  }

  get following() {
    return this.#lines[this.#next + 1] ?? "";
  }

  take() {
    const { line } = this;
    this.start += line.length + 1;
    this.#next += 1;
    return line;
  }

  skipBlank() {
    while (!this.done && BLANK.test(this.line)) this.take();
  }

  /** Take lines as long as `belongs(line)`. */
  takeWhile(belongs) {
    const taken = [];
    while (!this.done && belongs(this.line)) taken.push(this.take());
    return taken;
  }
}

const code = {
  begins: ({ line }) => FENCE.test(line),
  block(reader) {
    const [, fence, language] = FENCE.exec(reader.take());
    const lines = reader.takeWhile((line) => !closes(line, fence));
    if (!reader.done) reader.take();
    return { kind: "code", language, code: lines.join("\n") };
  },
};

function closes(line, fence) {
  const marks = line.trim();
  return marks.length >= fence.length && marks === fence[0].repeat(marks.length);
}

const heading = {
  begins: ({ line }) => HEADING.test(line),
  block(reader) {
    const [, marks, text] = HEADING.exec(reader.take());
    return { kind: "heading", level: marks.length, text: text.trimEnd() };
  },
};

const rule = {
  begins: ({ line }) => RULE.test(line),
  block(reader) {
    reader.take();
    return { kind: "rule" };
  },
};

const quote = {
  begins: ({ line }, depth) => depth < DEEPEST && QUOTE.test(line),
  block(reader, depth) {
    const lines = reader.takeWhile((line) => QUOTE.test(line)).map((line) => line.replace(/^ {0,3}> ?/, ""));
    return { kind: "quote", blocks: blocks(lines.join("\n"), depth + 1) };
  },
};

const list = {
  begins: ({ line }, depth) => depth < DEEPEST && ITEM.test(line),
  block(reader, depth) {
    const marker = ITEM.exec(reader.line)[2];
    const items = [];
    const isSame = (line) => ITEM.test(line) && !RULE.test(line) && sort(ITEM.exec(line)[2]) === sort(marker);
    while (!reader.done && isSame(reader.line)) {
      items.push(blocks(takeItem(reader), depth + 1));
      reader.skipBlank();
    }
    return { kind: "list", isOrdered: sort(marker) !== "-", first: Number.parseInt(marker, 10), items };
  },
};

function sort(marker) {
  return /\d/.test(marker) ? marker.at(-1) : "-";
}

/** Take one item: its first line without the marker, and the lines that are indented under it or go on with it. */
function takeItem(reader) {
  const [mark] = ITEM.exec(reader.line);
  const lines = [reader.take().slice(mark.length)];
  const isUnder = (line) => /^(?: {2,}|\t)/.test(line);
  for (;;) {
    lines.push(...reader.takeWhile((line) => isUnder(line) || goesOn(line, lines.at(-1))));
    if (reader.done || !BLANK.test(reader.line) || !isUnder(reader.following)) break;
    lines.push(reader.take());
  }
  const [first, ...rest] = lines;
  const indents = rest.filter(isUnder).map((line) => line.search(/\S|$/));
  const indent = indents.reduce((least, each) => Math.min(least, each), mark.length);
  return [first, ...rest.map((line) => line.replace(new RegExp(`^(?:\\t| {0,${indent}})`), ""))].join("\n");
}

function goesOn(line, before) {
  return !BLANK.test(before) && !BLANK.test(line) && !startsBlock(line);
}

const table = {
  begins: ({ line, following }) => line.includes("|") && following.includes("-") && isTable(line, following),
  block(reader) {
    const head = cells(reader.take());
    reader.take();
    const rows = reader.takeWhile((line) => line.includes("|") && !startsBlock(line)).map(cells);
    return { kind: "table", head, rows: rows.map((row) => head.map((_, column) => row[column] ?? "")) };
  },
};

function isTable(line, following) {
  return TABLE_RULE.test(following) && cells(line).length === cells(following).length;
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

const paragraph = {
  begins: () => true,
  block(reader) {
    const lines = [reader.take()];
    lines.push(...reader.takeWhile((line) => !BLANK.test(line) && !startsBlock(line)));
    return { kind: "paragraph", text: lines.join("\n") };
  },
};

function startsBlock(line) {
  return [FENCE, HEADING, RULE, QUOTE, ITEM].some((pattern) => pattern.test(line));
}

/** Tried in this order; `- - -` is a rule before it is a list. */
const READERS = [code, heading, rule, quote, list, table, paragraph];
