/**
 * One thing that the user wants (a subscription, an answer) over as many connections as it takes: connecting, noticing
 * that nothing comes any more, waiting, coming back with the cursor. What is asked for, and what the events mean, is
 * its `Wish`'s.
 */

import { RequestRefused, TailraceError, Unreachable, refusal } from "./errors.ts";
import type { Change, State, StreamOptions } from "./options.ts";
import { type Patience, Retries, patienceOf } from "./patience.ts";
import { prepare, send } from "./requests.ts";
import { Standing } from "./standing.ts";
import { Sleep, Watchdog } from "./waiting.ts";
import { Reader, type StreamEvent } from "./wire.ts";

export type Init = Omit<RequestInit, "headers"> & { readonly headers?: Readonly<Record<string, string>> };

/** What the user wants: how to ask for it now. */
export interface Wish {
  /** The URL and the request to make, coming from nowhere or from the session's cursor (which is added). */
  readonly request: () => readonly [url: string, init: Init];
  /** Take note of the head of an event stream. */
  readonly opened?: (response: Response) => void;
  /** Bytes have come that completed no event: a heartbeat. */
  readonly alive?: () => void;
  /** Take `reconnect`, `resume` and `gap` for events like any other. */
  readonly plain?: boolean;
}

/** Where events come from: a connection of our own, or one that is shared. */
export interface Source {
  readonly standing: Standing;
  /** The id to come back with. */
  readonly cursor: string;
  /**
   * The events, those of one network chunk together; `standing` is to be told of each. Ends where the server has no
   * more, or after `end`. Throws what no further attempt can mend, and the reason of `options.signal` if that aborts.
   */
  follow(): AsyncGenerator<StreamEvent[], void>;
  end(): void;
  /** Make the next attempt now, where one is waited for. */
  hurry(): void;
}

/** A way to share a source; `tabs` is one. */
export type Share = (wish: Wish, options: StreamOptions) => Source;

// One heartbeat may be lost, and the next be late by half of its time; a second more for the way.
const HEARTBEATS_MISSED = 2.5;
const MARGIN = 1000;

const DRAIN = 1000; // milliseconds for the end of a body whose last event was seen

/** The attempt is over, and another one may do better. */
class Lost extends Error {
  readonly how: { after?: number | undefined; at?: number; error?: TailraceError };

  /** `after` is what the server asks for at least, `at` exactly when it wants to see us; both in milliseconds. */
  constructor(message: string, how: Lost["how"] = {}) {
    super(message);
    this.how = how;
  }
}

export class Session implements Source {
  readonly standing: Standing;
  /** How long nothing may be heard, in milliseconds, before something is done about it. */
  quiet: number;

  readonly #wish: Wish;
  readonly #options: StreamOptions;
  readonly #patience: Patience;
  readonly #retries: Retries;
  readonly #reader: Reader;
  readonly #sleep = new Sleep();
  #attempt = new AbortController();
  #isOver = false;
  #isDrained = false;

  constructor(wish: Wish, options: StreamOptions) {
    this.#wish = wish;
    this.#options = options;
    this.standing = new Standing(options.onState);
    this.#patience = patienceOf(options.patience);
    this.#retries = new Retries(this.#patience, options.attempts);
    this.#reader = new Reader(options.lastEventId);
    this.quiet = this.#patience.answer;
  }

  get cursor(): string {
    return this.#reader.cursor;
  }

  async *follow(): AsyncGenerator<StreamEvent[], void> {
    const { signal } = this.#options;
    const listening = new AbortController();
    this.#listen(listening.signal);
    try {
      signal?.throwIfAborted();
      while (!this.#isOver) yield* this.#attempted();
      signal?.throwIfAborted();
    } catch (error) {
      if (!signal?.aborted) this.standing.become("failed", { error });
      throw error;
    } finally {
      listening.abort();
      if (!this.#isOver) this.end();
      this.standing.become("ended");
    }
  }

  /** Take no more; the body's end may still come, so that the connection can be used again. */
  end(state?: State, change?: Change): void {
    this.#isDrained = state !== undefined;
    this.#isOver = true;
    if (state) this.standing.become(state, change);
    else this.#attempt.abort();
    this.#sleep.wake();
  }

  hurry(): void {
    this.#sleep.wake();
  }

  #listen(listening: AbortSignal): void {
    const options = { signal: listening };
    this.#options.signal?.addEventListener("abort", () => this.end(), options);
    // Browsers alone tell of the network. Offline, the connection may be dead without an error, or the server be on
    // this very machine: so see.
    globalThis.addEventListener?.("online", () => this.hurry(), options);
    globalThis.addEventListener?.("offline", () => this.#attempt.abort(new Lost("the network is gone", { at: 0 })), options);
  }

  /** One attempt, and the waiting after it. */
  async *#attempted(): AsyncGenerator<StreamEvent[], void> {
    try {
      yield* this.#connect();
    } catch (error) {
      if (this.#isOver) return;
      if (!(error instanceof Lost)) throw error;
      await this.#wait(error);
    }
  }

  async *#connect(): AsyncGenerator<StreamEvent[], void> {
    const attempt = (this.#attempt = new AbortController());
    const watchdog = new Watchdog(() => attempt.abort(new Lost("nothing came for too long")));
    let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
    try {
      this.quiet = this.#patience.answer;
      watchdog.expect(this.quiet);
      const response = await this.#ask(attempt.signal);
      reader = this.#opened(response);
      while (reader && !this.#isOver) {
        watchdog.expect(this.quiet);
        const { done, value } = await this.#unlessLost(attempt.signal, reader.read());
        watchdog.rest();
        if (done) throw new Lost("the connection ended");
        yield* this.#received(value);
      }
    } finally {
      watchdog.rest();
      if (reader && this.#isDrained) void drain(reader, attempt);
      else attempt.abort();
    }
  }

  async #ask(signal: AbortSignal): Promise<Response> {
    const [url, { headers, ...init }] = this.#wish.request();
    const own: Record<string, string> = { ...headers, accept: "text/event-stream" };
    if (this.cursor) own["last-event-id"] = bytes(this.cursor);
    const prepared = prepare(this.#options, url, { ...init, headers: own, cache: "no-store", signal });
    // What the user's function for headers waits for is none of the signal's business.
    const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", reject));
    const request = await this.#unlessLost(signal, Promise.race([prepared, aborted]));
    const response = await this.#unlessLost(signal, send(this.#options, request));
    const { status } = response;
    if (status === 200 || status === 204) return response;
    const error = await this.#unlessLost(signal, refusal(response));
    if (status !== 429 && status < 500) throw error;
    throw new Lost(error.message, { after: error.retryAfter, error });
  }

  /** The body of an event stream; undefined where there is no more to come. */
  #opened(response: Response): ReadableStreamDefaultReader<Uint8Array> | undefined {
    const { status, headers, body, url } = response;
    if (status === 204) {
      this.#isOver = true;
      return undefined;
    }
    const type = headers.get("content-type") ?? "no content type";
    if (!/^text\/event-stream\s*(;|$)/i.test(type)) {
      throw new RequestRefused(200, "not_an_event_stream", `expected text/event-stream from ${url}, got ${type}`);
    }
    const heartbeat = Number(headers.get("tailrace-heartbeat")) || 0;
    this.quiet = heartbeat > 0 ? heartbeat * HEARTBEATS_MISSED * 1000 + MARGIN : this.#patience.silence;
    this.#reader.begin();
    this.#wish.opened?.(response);
    // Where a cursor was sent, our own servers' first event says whether all that was missed can be had.
    if (!this.cursor) this.standing.become("live");
    else if (!heartbeat) this.standing.become("resumed");
    if (!body) throw new Lost("the answer is empty");
    return body.getReader();
  }

  *#received(value: Uint8Array): Generator<StreamEvent[], void> {
    const events = this.#reader.receive(value);
    if (!events.length) {
      this.#wish.alive?.();
      return;
    }
    this.#retries.succeeded();
    yield events;
    if (!this.#wish.plain && events.some(({ type }) => type === "reconnect")) {
      // No jitter of our own: the server has spread its clients over the time that `retry:` names.
      throw new Lost("the server asked for it", { at: this.#reader.retry ?? this.#patience.first });
    }
  }

  async #wait({ message, how }: Lost): Promise<void> {
    const delay = how.at ?? this.#retries.failed(this.#reader.retry, how.after);
    if (delay === undefined) throw how.error ?? new Unreachable("unreachable", message);
    this.quiet = delay + this.#patience.answer;
    const slept = this.#sleep.for(delay);
    this.standing.become("reconnecting", { reason: message, delay });
    await slept;
  }

  /** Wait for the network's part of an attempt; whatever goes wrong with it is a `Lost`. */
  async #unlessLost<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
    try {
      return await promise;
    } catch (error) {
      if (signal.reason instanceof Lost) throw signal.reason;
      if (error instanceof TailraceError) throw error;
      throw new Lost(error instanceof Error ? error.message : String(error));
    }
  }
}

/** Header values are bytes: an id goes back as it came, in UTF-8. */
function bytes(id: string): string {
  return String.fromCharCode(...new TextEncoder().encode(id));
}

async function drain(reader: ReadableStreamDefaultReader<Uint8Array>, attempt: AbortController): Promise<void> {
  const timer = setTimeout(() => attempt.abort(), DRAIN);
  try {
    while (!(await reader.read()).done);
  } catch {
    // It broke off or took too long: nothing that anybody waits for.
  } finally {
    clearTimeout(timer);
  }
}
