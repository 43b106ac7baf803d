/**
 * `EventSource` as browsers have it, for code that was written for it, with what it lacks: headers, a look at
 * refusals, a watchdog for silent connections, and patience with servers that answer 5xx.
 */

import type { StreamOptions } from "./options.ts";
import { Session } from "./session.ts";
import type { StreamEvent } from "./wire.ts";

export interface EventSourceInit
  extends Pick<StreamOptions, "headers" | "lastEventId" | "attempts" | "patience" | "fetch"> {
  /** Whether cookies go along to other origins. */
  readonly withCredentials?: boolean;
}

type Handler = ((event: Event) => unknown) | null;

/** `error` events have an `error` that says what happened, where the browser's own say nothing. */
export class EventSource extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSED = 2;

  readonly url: string;
  readonly withCredentials: boolean;
  onopen: Handler = null;
  onmessage: ((event: MessageEvent<string>) => unknown) | null = null;
  onerror: Handler = null;

  readonly #session: Session;
  #readyState = 0;

  /** Throws SyntaxError for a URL that is none. */
  constructor(url: string | URL, init: EventSourceInit = {}) {
    super();
    this.url = absolute(url);
    this.withCredentials = init.withCredentials ?? false;
    const credentials = this.withCredentials ? "include" : "same-origin";
    const wish = { request: () => [this.url, {}] as const, opened: () => this.#opened(), plain: true };
    const options: StreamOptions = {
      ...init,
      credentials,
      onState: (state, { reason }) => {
        if (state === "reconnecting") this.#failed(0, reason);
      },
    };
    this.#session = new Session(wish, options);
    void this.#run();
  }

  get readyState(): number {
    return this.#readyState;
  }

  close(): void {
    this.#readyState = 2;
    this.#session.end();
  }

  async #run(): Promise<void> {
    await null; // listeners are added after construction
    try {
      for await (const events of this.#session.follow()) for (const event of events) this.#hand(event);
      this.#failed(2, "the server has no more");
    } catch (error) {
      this.#failed(2, error);
    }
  }

  #opened(): void {
    this.#readyState = 1;
    this.#dispatch(new Event("open"), this.onopen);
  }

  #hand({ type, data, id }: StreamEvent): void {
    if (this.#readyState === 2) return;
    const event = new MessageEvent(type, { data, lastEventId: id, origin: new URL(this.url).origin });
    // As browsers have it, an event that the server named `error` or `open` reaches the handler of that name too.
    const handlers: Record<string, Handler> = { error: this.onerror, open: this.onopen, message: this.onmessage as Handler };
    this.#dispatch(event, handlers[type] ?? null);
  }

  #failed(readyState: number, error: unknown): void {
    if (this.#readyState === 2) return;
    this.#readyState = readyState;
    this.#dispatch(Object.assign(new Event("error"), { error }), this.onerror);
  }

  #dispatch(event: Event, handler: Handler): void {
    if (handler) this.addEventListener(event.type, handler, { once: true });
    this.dispatchEvent(event);
    if (handler) this.removeEventListener(event.type, handler);
  }
}

export default EventSource;

function absolute(url: string | URL): string {
  try {
    return new URL(url, globalThis.document?.baseURI).href;
  } catch {
    throw new SyntaxError(`${url} is no URL`);
  }
}
