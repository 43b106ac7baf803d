/**
 * Where a question is written: Enter sends, Shift and Enter makes a line, Escape stops the answer.
 */

export class Composer {
  #form;
  #isAnswering = false;

  /** `form` has the fields `question`, `thinks`, `model`, the buttons `send`, `stop`; `actions`: `ask`, `stop`. */
  constructor(form, { ask, stop }) {
    this.#form = form;
    const { question } = form.elements;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send(ask);
    });
    question.addEventListener("keydown", (event) => {
      // While text is being composed (Japanese, Chinese, …), Enter picks a word.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send(ask);
    });
    question.addEventListener("input", () => this.#update());
    form.elements.stop.addEventListener("click", stop);
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#isAnswering) stop();
    });
    this.#update();
  }

  /** While an answer is coming there is a button to stop it, instead of the one to send. */
  set isAnswering(isAnswering) {
    if (isAnswering === this.#isAnswering) return;
    this.#isAnswering = isAnswering;
    const held = document.activeElement;
    this.#update();
    // A button that is hidden under the reader's finger would take the focus with it.
    if (held === this.#form.elements.stop || held === this.#form.elements.send) this.focus();
  }

  /** Let the reader write. */
  focus() {
    // On a touch screen it would open the keyboard, over the answer.
    if (matchMedia("(pointer: coarse)").matches) return;
    this.#form.elements.question.focus();
  }

  /** There is nothing to ask here. */
  hide() {
    this.#form.hidden = true;
  }

  /** What the reader wishes of an answer. */
  get wishes() {
    const { thinks, model } = this.#form.elements;
    return { thinks: thinks.checked, model: model.value };
  }

  #update() {
    const { question, send, stop } = this.#form.elements;
    stop.hidden = !this.#isAnswering;
    send.hidden = this.#isAnswering;
    send.disabled = question.value.trim() === "";
  }

  #send(ask) {
    const { question } = this.#form.elements;
    const text = question.value.trim();
    if (text === "" || this.#isAnswering) return;
    question.value = "";
    ask(text, this.wishes);
    this.#update();
  }
}
