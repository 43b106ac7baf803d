/**
 * One answer over as many connections as it takes: what the client does with the network, told in the page's words.
 *
 *     asking ──> live ──> reconnecting ──> resumed or gap ──> …
 *     each of them ──> done, stopped, failed, gone (the server has lost the run), locked (it wants to know who asks)
 *
 * What the events mean is the answer's matter, what a person is told is the page's.
 */

import { ending, take } from "./answer.js";
import { RequestRefused, RunError, attach, chat } from "./tailrace.js";

/** Why there is no connection, in our words; browsers tell of a broken network in words that differ. */
const REASONS = new Map([["nothing came for too long", "Nothing came for too long."]]);
const LEAVING = "The server is leaving; another one takes over.";

/** Where the client is back, whatever else it says. */
const BACK = new Set(["resumed", "gap"]);

/**
 * Follows one answer, and changes it as events come.
 *
 * `options`: `url` of the chat endpoint, `body` and `headers` (functions; the body is what is posted), `onChange`
 * (called after anything about the answer or the stream has changed).
 */
export class AnswerStream {
  /** While reconnecting: why, and when the next attempt is made (as of Date.now()). */
  waiting = null;

  #answer;
  #options;
  #stream;
  #isLeft = false;
  #isStopped = false;
  #isLeaving = false;
  #status = 0;

  constructor(answer, options) {
    this.#answer = answer;
    this.#options = options;
  }

  /** Follow the answer to its end. */
  async follow() {
    this.#answer.refusal = null;
    this.#become(this.#answer.run === null ? "asking" : "reconnecting");
    this.#stream = this.#open();
    try {
      for await (const event of this.#stream) this.#take(event);
      this.#end(this.#isStopped && !this.#answer.error ? "stopped" : ending(this.#answer));
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Make the next attempt now. */
  hurry() {
    this.#stream?.hurry();
  }

  /** Have the server cancel the run. Without a connection the answer ends here and now. */
  stop() {
    this.#isStopped = true;
    if (this.waiting === null) this.#become("stopping");
    this.#stream?.stop();
  }

  /** Leave the answer as it is; the run goes on without this viewer. */
  leave() {
    this.#isLeft = true;
    this.#stream?.close();
  }

  #open() {
    const { url, headers, body } = this.#options;
    const { run, key, cursor } = this.#answer;
    const options = {
      headers,
      fetch: (request) => this.#fetch(request),
      onState: (state, change) => this.#stands(state, change),
    };
    if (run !== null) return attach(url, run, { ...options, lastEventId: cursor });
    return chat(url, body(), { ...options, idempotencyKey: key });
  }

  async #fetch(request) {
    this.#status = 0;
    const response = await fetch(request);
    this.#status = response.status;
    return response;
  }

  #take(event) {
    // Before anything else: a page that is reloaded now must find the run again, and not ask a second time.
    this.#answer.run ??= this.#stream.run || null;
    this.#isLeaving = event.type === "reconnect";
    take(this.#answer, event, this.#stream.lastEventId);
    this.#options.onChange();
  }

  #stands(state, { reason, delay }) {
    if (this.#isLeft) return;
    const wasKnown = this.#answer.run !== null;
    this.#answer.run ??= this.#stream.run || null;
    this.waiting = state === "reconnecting" ? { reason: this.#why(reason), until: Date.now() + delay } : null;
    if (this.#isStopped) this.#options.onChange();
    else if (state === "reconnecting" || BACK.has(state)) this.#become(state);
    // What comes after `resumed` is told by the text; whoever looks is still told that nothing was lost.
    else if (state === "live" && !BACK.has(this.#answer.state)) this.#become(wasKnown ? "resumed" : "live");
  }

  #why(reason) {
    if (!navigator.onLine) return "This device is offline.";
    if (this.#isLeaving) return LEAVING;
    if (this.#status >= 400) return `The server cannot take this now: ${reason}`;
    return REASONS.get(reason) ?? "The connection was lost.";
  }

  #failed(error) {
    if (error instanceof RunError) {
      this.#end(ending(this.#answer));
    } else if (error instanceof RequestRefused) {
      const { status, code, message } = error;
      this.#answer.refusal = { status, code, detail: message };
      if (status === 404 && this.#answer.run !== null) this.#end("gone");
      else this.#end(status === 401 ? "locked" : "failed");
    } else {
      this.#end("failed");
      throw error;
    }
  }

  #become(state) {
    this.#answer.state = state;
    this.#options.onChange();
  }

  #end(state) {
    if (this.#isLeft) return;
    this.waiting = null;
    this.#become(state);
    this.#isLeft = true;
  }
}
