/**
 * The questions and answers of this tab, in order, kept over reloads.
 *
 * They are in the session's storage: they live as long as the tab, and no other tab writes over them.
 */

import { unanswered } from "./answer.js";

const PLACE = "tailrace.conversation.2"; // the form of what is kept
const KEY_BYTES = 16;

/** @typedef {{question: string, wishes: {thinks: boolean, model: string}, answer: object}} Turn */

export class Conversation {
  /** @type {Turn[]} */
  turns;
  #storage;

  /** @param {Storage | null} storage null where the browser allows none: the conversation then ends with the page */
  constructor(storage) {
    this.#storage = storage;
    this.turns = JSON.parse(storage?.getItem(PLACE) ?? "[]");
  }

  /** The newest turn, if there is one. */
  get last() {
    return this.turns.at(-1);
  }

  /** Add a question; `wishes`: `thinks` asks the model to show its reasoning, `model` names it (empty: any). */
  ask(question, wishes) {
    const turn = { question, wishes, answer: unanswered(newKey()) };
    this.turns.push(turn);
    this.save();
    return turn;
  }

  /** Forget the answer to the last question, and ask it under a new key. */
  askAgain() {
    this.last.answer = unanswered(newKey());
    this.save();
  }

  /** Forget everything. */
  clear() {
    this.turns = [];
    this.save();
  }

  /** The body that asks the last question, with all before it. The same each time, as an idempotency key demands. */
  body() {
    const messages = [];
    for (const { question, answer } of this.turns) {
      const before = messages.at(-1);
      // Some models insist that the roles alternate: a question that got no answer goes with the next one.
      if (before?.role === "user") before.content += `\n\n${question}`;
      else messages.push({ role: "user", content: question });
      if (answer.text && answer !== this.last.answer) messages.push({ role: "assistant", content: answer.text });
    }
    const { thinks, model } = this.last.wishes;
    return { messages, ...(thinks && { thinking: true }), ...(model && { model }) };
  }

  /** Keep what there is. Each answer is kept with its cursor, so that whatever is found later fits together. */
  save() {
    for (let from = 0; from <= this.turns.length; from += 1) {
      if (this.#write(JSON.stringify(this.turns.slice(from)))) return;
    }
  }

  /** Return false where the storage is full: then the oldest turns are not kept. */
  #write(text) {
    try {
      this.#storage?.setItem(PLACE, text);
      return true;
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error;
      return false;
    }
  }
}

function newKey() {
  // Not crypto.randomUUID: browsers have it on secure origins only, and a laptop on the local network is none.
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
