/** Following channels, or any event stream that has a URL, for as long as its server gives any. */

import type { StreamOptions, State } from "./options.ts";
import { report } from "./reporting.ts";
import { Session, type Share, type Source } from "./session.ts";
import { type Verdict, object, readVerdict } from "./verdict.ts";
import type { StreamEvent } from "./wire.ts";

/** An event as it was published. */
export class ChannelEvent<T = unknown> {
  readonly type: string;
  /** What was published: a text as it is, anything else in JSON. */
  readonly data: string;
  /** The cursor to come back with, after this event. */
  readonly id: string;
  /** The channel, where several are followed on one connection. */
  readonly channel: string | undefined;

  constructor(type: string, data: string, id: string, channel?: string) {
    this.type = type;
    this.data = data;
    this.id = id;
    this.channel = channel;
  }

  /** `data` read as JSON. Throws SyntaxError where it is none. */
  json(): T {
    return JSON.parse(this.data) as T;
  }
}

export interface SubscribeOptions<T = unknown> extends StreamOptions {
  /** Called with each event, in order. A promise that it returns is waited for before the next. */
  readonly onEvent: (event: ChannelEvent<T>) => unknown;
  /** Called where events are missing, in their place among the others. */
  readonly onGap?: (gap: Verdict) => unknown;
  /** Called with what ended the subscription against your will; without it, `closed` rejects. */
  readonly onError?: (error: unknown) => void;
  /** Where the server is, for channels by name: `https://host/path`; empty for the page's own. */
  readonly base?: string;
  /** Whom to share the connection with: `tabs()` of `@tailrace/client/tabs`. */
  readonly share?: Share;
}

/** A running subscription. */
export interface Subscription {
  readonly state: State;
  /** The id of the last event that was handed out: `lastEventId` of a later subscription. */
  readonly lastEventId: string;
  /** Make the next attempt now, where one is waited for. */
  hurry(): void;
  close(): void;
  /** Settles when the subscription is over; rejects with what ended it, unless there is an `onError`. */
  readonly closed: Promise<void>;
}

// They move the cursor or talk about the connection; neither is anything that was published.
const SILENT = new Set(["ready", "cursor", "reconnect"]);

/**
 * Follow a URL (which has a slash), a channel by name, or several channels on one connection (an array of names), from
 * now on or from `lastEventId`, over any number of connections, until it is closed or the server has no more.
 */
export function subscribe<T = unknown>(
  target: string | URL | readonly string[],
  options: SubscribeOptions<T>,
): Subscription {
  return new Following(target, options);
}

class Following<T> implements Subscription {
  readonly closed: Promise<void>;

  readonly #options: SubscribeOptions<T>;
  readonly #session: Source;
  readonly #isMany: boolean;
  #isClosed = false;
  /** The id of the event that is being handed out; undefined between network chunks. */
  #handed: string | undefined;

  constructor(target: string | URL | readonly string[], options: SubscribeOptions<T>) {
    this.#options = options;
    const url = urlOf(target, (options.base ?? "").replace(/\/$/, ""));
    this.#isMany = /[?&]channel=/.test(url);
    const wish = { request: () => [url, {}] as const };
    this.#session = options.share?.(wish, options) ?? new Session(wish, options);
    this.closed = this.#run();
    if (options.onError) this.closed = this.closed.catch(options.onError);
  }

  get state(): State {
    return this.#session.standing.state;
  }

  get lastEventId(): string {
    return this.#handed ?? this.#session.cursor;
  }

  hurry(): void {
    this.#session.hurry();
  }

  close(): void {
    this.#isClosed = true;
    this.#session.end();
  }

  async #run(): Promise<void> {
    try {
      for await (const events of this.#session.follow()) {
        for (const event of events) {
          const taken = this.#hand(event);
          if (taken) await taken; // to await nothing too would cost each event a turn
        }
        this.#handed = undefined;
      }
    } catch (error) {
      if (!this.#options.signal?.aborted) throw error; // to abort is to close
    }
  }

  #hand(event: StreamEvent): Promise<unknown> | undefined {
    if (this.#isClosed) return undefined;
    this.#handed = event.id;
    this.#session.standing.note(event);
    try {
      const taken = this.#take(event);
      return taken instanceof Promise ? taken.catch(report) : undefined;
    } catch (error) {
      return report(error);
    }
  }

  #take(event: StreamEvent): unknown {
    const { type, data, id } = event;
    const { onEvent, onGap } = this.#options;
    if (SILENT.has(type)) return undefined;
    const verdict = type === "resume" || type === "gap" ? readVerdict(data) : undefined;
    if (verdict) return verdict.recovered ? undefined : onGap?.(verdict);
    const { channel, data: published } = this.#isMany ? object(data) : {};
    if (typeof channel !== "string") return onEvent(new ChannelEvent(type, data, id));
    const text = typeof published === "string" ? published : JSON.stringify(published);
    return onEvent(new ChannelEvent(type, text, id, channel));
  }
}

function urlOf(target: string | URL | readonly string[], base: string): string {
  if (Array.isArray(target)) return `${base}/events?${target.map((name) => `channel=${encodeURIComponent(name)}`).join("&")}`;
  const url = String(target);
  return /[/?]/.test(url) ? url : `${base}/events/${encodeURIComponent(url)}`;
}
