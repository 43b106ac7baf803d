/**
 * The line above the composer: where the newest answer stands, and the one thing to do about it.
 * Why an answer has ended is told below the answer, where it stays.
 */

import { isOver } from "./answer.js";
import { advise, describe } from "./notices.js";

/** The state before anything was asked. */
const READY = { label: "Ready", detail: "" };

/** What a state offers to do: the button's words, and the name of the action. */
const OFFERS = {
  reconnecting: ["Try now", "hurry"],
  stopped: ["Ask again", "askAgain"],
  failed: ["Ask again", "askAgain"],
  gone: ["Ask again", "askAgain"],
};

export class StatusLine {
  #element;
  #actions;
  #parts;
  #waiting = null;

  /** `actions`: functions by name, as `OFFERS` names them; what is not there is not offered. */
  constructor(element, actions) {
    this.#element = element;
    this.#actions = actions;
    const find = (name) => element.querySelector(`.${name}`);
    this.#parts = { label: find("label"), detail: find("detail"), countdown: find("countdown"), offer: find("offer") };
    this.#parts.offer.addEventListener("click", () => actions[this.#parts.offer.value]());
    setInterval(() => this.#count(), 1000);
  }

  /** Show where `answer` stands (null: there is none); `waiting` as `AnswerStream` has it. */
  show(answer, waiting) {
    const { label, detail } = answer ? describe(answer, waiting) : READY;
    this.#element.dataset.state = answer?.state ?? "ready";
    say(this.#parts.label, label);
    say(this.#parts.detail, answer && isOver(answer) ? advise(answer) : detail);
    this.#offer(OFFERS[answer?.state] ?? []);
    this.#waiting = waiting;
    this.#count();
  }

  #offer([words = "", action = ""]) {
    const { offer } = this.#parts;
    offer.hidden = !(action in this.#actions);
    [offer.textContent, offer.value] = [words, action];
  }

  /** Not part of what is read out: nobody wants to hear every second. */
  #count() {
    const seconds = this.#waiting ? Math.ceil((this.#waiting.until - Date.now()) / 1000) : 0;
    this.#parts.countdown.textContent = seconds > 0 ? `Trying again in ${seconds} s.` : "";
  }
}

/** Set a text only where it differs: a screen reader reads out every change. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
