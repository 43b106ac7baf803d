/**
 * Bytes as events, and the cursor that moves with them. Lines and fields are eventsource-parser's, by the letter of
 * the HTML standard; what outlives a connection (the last event id, `retry:`) is kept here.
 */

import { createParser, type EventSourceParser } from "eventsource-parser";
import { TailraceError } from "./errors.ts";

/** One event of any stream; `id` is the last event id as of this event, empty where there was none yet. */
export interface StreamEvent {
  readonly type: string;
  readonly data: string;
  readonly id: string;
}

// As much as the server's own decoder takes. A stream that does not end its event would fill the memory otherwise.
const MOST = 16 * 1024 * 1024;

export class Reader {
  /** The last event id: what to come back with. */
  cursor: string;
  /** The milliseconds of the last `retry:`. */
  retry: number | undefined;

  #parser!: EventSourceParser;
  #decoder!: TextDecoder;
  #events: StreamEvent[] = [];
  #error: TailraceError | undefined;

  constructor(cursor = "") {
    this.cursor = cursor;
    this.begin();
  }

  /** Expect a new body. "Once the end of the file is reached, any pending data must be discarded." */
  begin(): void {
    // The parser strips one byte order mark; a decoder that strips one too would make it two.
    this.#decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    this.#parser = createParser({
      maxBufferSize: MOST,
      onId: (id) => {
        this.cursor = id;
      },
      onEvent: ({ event, data }) => {
        this.#events.push({ type: event || "message", data, id: this.cursor });
      },
      onRetry: (milliseconds) => {
        if (Number.isSafeInteger(milliseconds)) this.retry = milliseconds;
      },
      onError: ({ type, message }) => {
        if (type === "max-buffer-size-exceeded") this.#error = new TailraceError("event_too_large", message);
      },
    });
  }

  /** Take the next bytes; return the events that they complete. Throws where one event is over the bound. */
  receive(bytes: Uint8Array): StreamEvent[] {
    this.#events = [];
    this.#parser.feed(this.#decoder.decode(bytes, { stream: true }));
    if (this.#error) throw this.#error;
    return this.#events;
  }
}
