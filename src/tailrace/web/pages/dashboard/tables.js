/** A table whose rows stay where they are on the page while what they say changes: a focused button keeps its focus. */

import { make, say } from "./words.js";

export class Table {
  #body;
  #columns;
  #rows = new Map();

  /**
   * `columns`: `{title, text(item), className?}` or `{title, button: {label, name(item), press(item)}}`, where a button
   * whose `name` is empty is not there.
   */
  constructor(element, caption, columns) {
    this.#columns = columns;
    element.append(make("caption", caption, "unseen"));
    const head = element.createTHead().insertRow();
    for (const { title, button, className } of columns) {
      const cell = make("th", "", className);
      cell.scope = "col";
      cell.append(button ? make("span", title, "unseen") : title);
      head.append(cell);
    }
    this.#body = element.createTBody();
  }

  /** Show `items`, in their order; `keyOf` tells which is which. */
  show(items, keyOf) {
    const shown = new Map();
    for (const item of items) {
      let key = keyOf(item);
      while (shown.has(key)) key += "'";
      const row = this.#rows.get(key) ?? this.#make();
      row.item = item;
      this.#fill(row);
      shown.set(key, row);
    }
    for (const [key, row] of this.#rows) {
      if (!shown.has(key)) row.element.remove();
    }
    this.#rows = shown;
    this.#order([...shown.values()].map(({ element }) => element));
  }

  /** Move only what is not in its place: to move an element takes its focus away. */
  #order(elements) {
    for (const [index, element] of elements.entries()) {
      const there = this.#body.rows[index];
      if (there === element) continue;
      if (element.contains(document.activeElement)) {
        // All others go around the one that somebody is at.
        while (this.#body.rows[index] !== element) this.#body.append(this.#body.rows[index]);
      } else {
        this.#body.insertBefore(element, there ?? null);
      }
    }
  }

  #make() {
    const row = { element: document.createElement("tr"), cells: [], item: null };
    for (const { button, className } of this.#columns) {
      const cell = make("td", "", className);
      if (button) cell.append(this.#button(row, button));
      row.cells.push(cell);
      row.element.append(cell);
    }
    return row;
  }

  #button(row, { label, press }) {
    const element = make("button", label);
    element.type = "button";
    element.addEventListener("click", () => press(row.item));
    return element;
  }

  #fill({ cells, item }) {
    for (const [index, { text, button, mark }] of this.#columns.entries()) {
      const cell = cells[index];
      if (button) {
        const [element, name] = [cell.firstChild, button.name(item)];
        element.hidden = !name;
        element.setAttribute("aria-label", name);
      } else {
        say(cell, text(item));
      }
      if (mark) cell.dataset.mark = mark(item);
    }
  }
}
