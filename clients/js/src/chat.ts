/**
 * Asking a model, and following its answer to the end. A question is posted for one answer: until the run is known,
 * the same POST is repeated under the same idempotency key; from then on every connection attaches to the run.
 */

import { type ChatEvent, type FinishEvent, type ToolEvent, readChatEvent } from "./chat-events.ts";
import { RunError } from "./errors.ts";
import type { State, StreamOptions } from "./options.ts";
import { prepare, send } from "./requests.ts";
import { Session, type Wish } from "./session.ts";
import type { StreamEvent } from "./wire.ts";

/** A question, as `POST /api/chat` takes it; exactly one of `message` and `messages`. */
export interface ChatRequest {
  readonly message?: string;
  readonly messages?: readonly { readonly role: string; readonly content: unknown }[];
  readonly model?: string;
  readonly system?: string;
  readonly max_tokens?: number;
  readonly temperature?: number;
  readonly thinking?: boolean;
  readonly tools?: readonly object[];
  /** Seconds that the run goes on without anybody who watches. */
  readonly grace?: number;
  readonly metadata?: object;
}

export interface ChatOptions extends Omit<StreamOptions, "lastEventId"> {
  /** The same key gets the same answer; a random one where left out. */
  readonly idempotencyKey?: string;
}

export interface AttachOptions extends StreamOptions {
  /** Have what was said so far as one `snapshot` event, and then what follows. Not with `lastEventId`. */
  readonly snapshot?: boolean;
}

/** A tool call, put together from its fragments. */
export type ToolCall = Pick<ToolEvent, "id" | "name" | "arguments">;

/**
 * An answer as it comes: iterate over it, once. Nothing is sent before that.
 *
 * Iterating throws what no further attempt can mend (`RequestRefused`, `Unreachable`), and, after its `error` and
 * `done`, a `RunError` for a run that failed: an answer that is cut short never looks like a whole one.
 */
export interface Answer extends AsyncIterable<ChatEvent> {
  /** The text so far. */
  readonly text: string;
  /** The reasoning so far. */
  readonly thinking: string;
  /** The tool calls so far, by index. */
  readonly tools: readonly ToolCall[];
  /** How the model ended; undefined until it has. */
  readonly finish: FinishEvent | undefined;
  /** How the run failed; undefined where it did not. */
  readonly error: RunError | undefined;
  /** The run's id, empty until the server has named it: with `lastEventId`, what `attach` needs to come back. */
  readonly run: string;
  readonly lastEventId: string;
  readonly idempotencyKey: string;
  readonly state: State;
  /** Have the server cancel the run. Settles when the iteration is about to end, within seconds. */
  stop(): Promise<void>;
  /** Leave the answer as it is: the run goes on for its grace, and for others. */
  close(): void;
  /** Make the next attempt now, where one is waited for. */
  hurry(): void;
}

/** Ask: `url` is that of the chat endpoint, `body` a question or its text alone. */
export function chat(url: string | URL, body: string | ChatRequest, options: ChatOptions = {}): Answer {
  const key = options.idempotencyKey ?? newKey();
  const asked = typeof body === "string" ? { message: body } : body;
  return new Asked(String(url), options, key, JSON.stringify(asked));
}

/** Follow an answer that was asked for before or elsewhere, from its start or from `lastEventId`. */
export function attach(url: string | URL, run: string, options: AttachOptions = {}): Answer {
  return new Asked(String(url), options, "", undefined, run);
}

const STOP_WITHIN = 3000; // milliseconds in which the server should confirm a stop

class Asked implements Answer {
  text = "";
  thinking = "";
  tools: ToolCall[] = [];
  finish: FinishEvent | undefined;
  error: RunError | undefined;
  run: string;
  readonly idempotencyKey: string;

  readonly #url: string;
  readonly #body: string | undefined;
  readonly #options: AttachOptions;
  readonly #session: Session;
  readonly #events: AsyncGenerator<ChatEvent, void>;
  #stopping: Promise<void> | undefined;
  #hasBegun = false;
  /** The id of the event that is being handed out; undefined between network chunks. */
  #handed: string | undefined;
  #isOver = (): void => {};

  constructor(url: string, options: AttachOptions, key: string, body?: string, run = "") {
    this.#url = url;
    this.#options = options;
    this.#body = body;
    this.idempotencyKey = key;
    this.run = run;
    this.#session = new Session({ request: () => this.#request(), opened: (head) => this.#opened(head) }, options);
    this.#events = this.#follow();
  }

  get lastEventId(): string {
    return this.#handed ?? this.#session.cursor;
  }

  get state(): State {
    return this.#session.standing.state;
  }

  [Symbol.asyncIterator](): AsyncGenerator<ChatEvent, void> {
    return this.#events;
  }

  hurry(): void {
    this.#session.hurry();
  }

  close(): void {
    this.#session.end();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    if (this.#session.standing.isOver) return;
    const over = new Promise<void>((resolve) => (this.#isOver = resolve));
    // The run's own end is worth waiting for: it says what was written last. But not for ever, and not for a
    // connection that is not there.
    const timer = setTimeout(() => this.close(), STOP_WITHIN);
    const cancelled = this.#cancel();
    if (this.state === "reconnecting" || !this.#hasBegun) this.close();
    else await over;
    clearTimeout(timer);
    await cancelled;
  }

  async #cancel(): Promise<void> {
    if (!this.run) return; // as soon as it is known
    try {
      const init = { method: "DELETE", keepalive: true, signal: AbortSignal.timeout(STOP_WITHIN) };
      await send(this.#options, await prepare(this.#options, this.#runUrl(), init));
    } catch {
      // The network takes no request: nobody watches the run any more, and the server cancels it after its grace.
      this.close();
    }
  }

  async *#follow(): AsyncGenerator<ChatEvent, void> {
    this.#hasBegun = true;
    try {
      for await (const events of this.#session.follow()) {
        for (const event of events) {
          this.#handed = event.id;
          for (const told of this.#told(event)) yield told;
          if (event.type === "done") break;
        }
        if (!this.#session.standing.isOver) this.#handed = undefined;
      }
      if (this.error) throw this.error;
    } finally {
      this.#isOver();
    }
  }

  /** What an event is to the user: nothing, itself, or itself and what follows from it. */
  #told(event: StreamEvent): ChatEvent[] {
    const told = this.#read(event);
    if (told?.type === "done") this.#end(this.error);
    else this.#session.standing.note(event);
    if (!told) return [];
    const all = [told];
    // The server did not know the cursor, and tells the run from its start.
    if (told.type === "resume" && !told.recovered && told.reason !== "trimmed") {
      all.push({ type: "restart", provider: "", model: "", reason: told.reason });
    }
    all.forEach((each) => this.#take(each));
    return all;
  }

  #read(event: StreamEvent): ChatEvent | undefined {
    try {
      return readChatEvent(event);
    } catch (error) {
      this.#end(error);
      throw error;
    }
  }

  #end(error?: unknown): void {
    if (error) this.#session.end("failed", { error });
    else this.#session.end("ended");
  }

  #take(told: ChatEvent): void {
    if (told.type === "start") this.run = told.run; // where a proxy has dropped the header
    else if (told.type === "message") this.text += told.text;
    else if (told.type === "thinking") this.thinking += told.text;
    else if (told.type === "tool") this.#takeTool(told);
    else if (told.type === "restart") Object.assign(this, { text: "", thinking: "", tools: [] });
    else if (told.type === "snapshot") Object.assign(this, { text: told.text, thinking: told.thinking ?? "" });
    else if (told.type === "finish") this.finish = told;
    else if (told.type === "error") this.#failed(told.error);
  }

  #takeTool({ index, id, name, arguments: fragment }: ToolEvent): void {
    const call = (this.tools[index] ??= { id: "", name: "", arguments: "" });
    const known = { id: call.id || id, name: call.name || name };
    this.tools[index] = { ...known, arguments: call.arguments + (fragment ?? "") };
  }

  #failed({ type, message, retryable }: { type: string; message: string; retryable: boolean }): void {
    if (this.#stopping && type === "caller_cancelled") return; // as asked
    this.error = new RunError(type, message, !!retryable);
  }

  #request(): ReturnType<Wish["request"]> {
    if (this.run) return [this.#runUrl(this.#options.snapshot && "snapshot=1"), {}];
    const headers = { "content-type": "application/json", "idempotency-key": this.idempotencyKey };
    return [this.#url, { method: "POST", headers, body: this.#body! }];
  }

  /** Learn the run before its first event: a connection that is lost right now must not ask again. */
  #opened({ headers }: Response): void {
    const wasUnknown = !this.run;
    this.run = headers.get("tailrace-run") || this.run;
    if (this.#stopping && wasUnknown) void this.#cancel();
  }

  #runUrl(also?: string | false): string {
    const [path, query] = this.#url.split("?", 2);
    const asked = [query, also].filter(Boolean).join("&");
    return `${path!.replace(/\/$/, "")}/${encodeURIComponent(this.run)}${asked && `?${asked}`}`;
  }
}

/** 128 random bits. `crypto.randomUUID` is missing on pages without TLS. */
function newKey(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
