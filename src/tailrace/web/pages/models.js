/**
 * The models that can be asked for, as a list to choose from. Where there is no choice, there is no list.
 */

import { headers } from "./session.js";

const MODELS = new URL("v1/models", document.baseURI);
const PLACE = "tailrace.model";

export class ModelChoice {
  #select;
  #storage;

  /** `select` has an option for no model in particular. */
  constructor(select, storage) {
    this.#select = select;
    this.#storage = storage;
    select.addEventListener("change", () => storage?.setItem(PLACE, select.value));
  }

  /** Fetch them; return false where the server wants to know first who asks. */
  async load() {
    const response = await fetch(MODELS, { headers: headers() }).catch(() => null);
    if (response?.ok) this.#offer((await response.json()).data.map(({ id }) => id));
    // Whatever else is wrong with the list, the default model can be asked.
    return response?.status !== 401;
  }

  #offer(names) {
    const [fallback] = this.#select.options;
    this.#select.replaceChildren(fallback, ...names.map((name) => new Option(name, name)));
    const chosen = this.#storage?.getItem(PLACE);
    this.#select.value = names.includes(chosen) ? chosen : "";
    this.#select.hidden = names.length < 2;
  }
}
