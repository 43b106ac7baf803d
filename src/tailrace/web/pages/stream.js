/**
 * One answer over as many connections as it takes.
 *
 * The question is posted under an idempotency key until the server names the run; from then on the run is resumed
 * from the last event's id, and never asked for again. What the events mean is the answer's matter, what a person is
 * told is the page's.
 *
 *     asking ──> live ──> (lost) reconnecting ──> resumed ──> …
 *     each of them ──> done, stopped, failed, gone (the server has lost the run) or locked (it wants a key)
 */

import { ending, take } from "./answer.js";
import { Lost, Watchdog, readProblem, retryAfter, unlessLost } from "./losses.js";
import { Patience } from "./patience.js";
import { EventParser } from "./sse.js";

const ANSWER_WITHIN = 30_000; // milliseconds to the head of a response
const HEARTBEAT = 15; // seconds, where the server announces none
// Three heartbeats in a row would be 3.0; at 2.5 one may be lost and the next one late by half.
const HEARTBEATS_MISSED = 2.5;
const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds; a browser takes more for none at all
const STOP_WITHIN = 3000; // milliseconds in which the server should confirm a stop

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
  #patience = new Patience();
  #retry = null;
  #attempt = new AbortController();
  #over = new AbortController();
  #stopping = false;
  #probing = false;
  #wake = () => {};

  constructor(answer, options) {
    this.#answer = answer;
    this.#options = options;
    const { signal } = this.#over;
    window.addEventListener("offline", () => this.#probe(), { signal });
    window.addEventListener("online", () => this.hurry(), { signal });
  }

  /** Follow the answer to its end. */
  async follow() {
    this.#become(this.#answer.run === null ? "asking" : "reconnecting");
    while (!this.#over.signal.aborted) {
      try {
        await this.#connect();
      } catch (error) {
        if (!(error instanceof Lost)) {
          this.#end("failed");
          throw error;
        }
        await this.#wait(error);
      }
    }
  }

  /** Make the next attempt now. */
  hurry() {
    this.#wake();
  }

  /** Have the server cancel the run. Without a connection the answer ends here and now. */
  stop() {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#cancel();
    if (this.waiting) {
      this.#end("stopped");
      return;
    }
    this.#become("stopping");
    // The run's own ending is worth waiting for: it says what was written last. But not for ever.
    const timer = setTimeout(() => this.#end("stopped"), STOP_WITHIN);
    this.#over.signal.addEventListener("abort", () => clearTimeout(timer));
  }

  /** Leave the answer as it is; the run goes on without this viewer. */
  leave() {
    this.#over.abort();
    this.#attempt.abort();
    this.#wake();
  }

  async #connect() {
    this.#attempt = new AbortController();
    const watchdog = new Watchdog(() => this.#attempt.abort());
    try {
      watchdog.expect(ANSWER_WITHIN);
      const response = await unlessLost(fetch(this.#request(), { signal: this.#attempt.signal }));
      if (await this.#isStream(response)) await this.#read(response, watchdog);
    } finally {
      watchdog.rest();
      this.#attempt.abort();
    }
  }

  #request() {
    const { run, key, cursor } = this.#answer;
    const headers = { Accept: "text/event-stream", ...this.#options.headers() };
    if (run === null) {
      const posted = { ...headers, "Content-Type": "application/json", "Idempotency-Key": key };
      return new Request(this.#options.url, { method: "POST", headers: posted, body: this.#options.body() });
    }
    const resumed = cursor ? { ...headers, "Last-Event-ID": cursor } : headers;
    return new Request(this.#runUrl(), { headers: resumed, cache: "no-store" });
  }

  #runUrl() {
    return `${this.#options.url}/${encodeURIComponent(this.#answer.run)}`;
  }

  /** Whether events follow. If not, the answer has ended, or the attempt has failed. */
  async #isStream(response) {
    const { status, headers } = response;
    if (status === 200 && headers.get("Content-Type")?.startsWith("text/event-stream")) return true;
    if (status === 200) throw new Lost("Something on the way answered in the server's place.");
    if (status === 204) this.#end(ending(this.#answer));
    else if (status === 404 && this.#answer.run !== null) this.#end("gone");
    else await this.#refused(response);
    return false;
  }

  async #refused(response) {
    const problem = await unlessLost(readProblem(response));
    if (response.status === 429 || response.status >= 500) {
      const after = retryAfter(response.headers);
      throw new Lost(`The server cannot take this now (${problem.detail}).`, { after });
    }
    this.#answer.refusal = problem;
    this.#end(response.status === 401 ? "locked" : "failed");
  }

  async #read(response, watchdog) {
    this.#open(response.headers.get("Tailrace-Run"));
    const heartbeat = Number(response.headers.get("Tailrace-Heartbeat")) || HEARTBEAT;
    const parser = new EventParser();
    const reader = response.body.getReader();
    while (!this.#over.signal.aborted) {
      watchdog.expect(heartbeat * HEARTBEATS_MISSED * 1000);
      const { done, value } = await unlessLost(reader.read());
      if (done) throw new Lost("The connection ended before the answer did.");
      for (const event of parser.receive(value)) this.#take(event, parser);
    }
  }

  #open(run) {
    const known = this.#answer.run !== null;
    this.#answer.run ??= run;
    this.#answer.refusal = null; // the key that it asked for has been given
    if (this.#stopping) this.#cancel();
    else this.#become(known ? "resumed" : "live");
  }

  #take(event, parser) {
    this.#patience.succeeded();
    this.#retry = parser.retry ?? this.#retry;
    if (event.type === "reconnect") {
      // No jitter of our own: the server has spread its readers over the time that `retry:` names.
      throw new Lost("The server is leaving; another one takes over.", { appointed: this.#retry ?? 0 });
    }
    take(this.#answer, event);
    if (event.type === "done") this.#end(ending(this.#answer));
    else this.#options.onChange();
  }

  async #wait(lost) {
    if (this.#over.signal.aborted) return;
    if (this.#stopping) {
      this.#end("stopped");
      return;
    }
    const asked = this.#probing ? 0 : (lost.appointed ?? this.#patience.failed(this.#retry, lost.after));
    const delay = Math.min(asked, LONGEST_TIMER);
    this.#probing = false;
    this.waiting = { reason: lost.message, until: Date.now() + delay };
    this.#become("reconnecting");
    await new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, delay);
    });
    this.waiting = null;
  }

  /** The browser says that the network is gone. A server on this very machine is still there: so see. */
  #probe() {
    if (this.waiting) return;
    this.#probing = true;
    this.#attempt.abort();
  }

  async #cancel() {
    if (this.#answer.run === null) return;
    const request = { method: "DELETE", headers: this.#options.headers(), keepalive: true };
    // Where the network takes no request, nobody watches the run any more, and the server cancels it by itself.
    await fetch(this.#runUrl(), request).catch(() => this.#end("stopped"));
  }

  #become(state) {
    this.#answer.state = state;
    this.#options.onChange();
  }

  #end(state) {
    if (this.#over.signal.aborted) return;
    this.leave();
    this.#become(state);
  }
}
