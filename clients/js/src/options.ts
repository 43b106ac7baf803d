/** What all of this package's streams can be told. */

import type { Patience } from "./patience.ts";

/**
 * Where a stream stands.
 *
 *     connecting ──> live ──> reconnecting ──> resumed ──> live ──> …
 *                                         └──> gap ──────> live ──> …
 *     each of them ──> ended, failed
 *
 * `resumed` and `gap` are connected too: what was missed is on its way, or a part of it is not. The next event
 * makes them `live`.
 */
export type State = "connecting" | "live" | "reconnecting" | "resumed" | "gap" | "ended" | "failed";

/** What is known about a change of state. */
export interface Change {
  /** Why, in words for a person (`reconnecting`), or the server's word (`gap`). */
  readonly reason?: string;
  /** Milliseconds until the next attempt (`reconnecting`). */
  readonly delay?: number;
  /** How many events are missing (`gap`); null where nobody can tell. */
  readonly missed?: number | null;
  /** What it ended with (`failed`). */
  readonly error?: unknown;
}

/** Headers as they are, or a function that is asked for them before each attempt: the place for fresh credentials. */
export type HeadersSource = HeadersInit | (() => HeadersInit | Promise<HeadersInit>);

export interface StreamOptions {
  /**
   * Sent along with each request. Where the function throws, the attempt has failed and another follows; it throws a
   * `TailraceError` to give up.
   */
  readonly headers?: HeadersSource;
  /** As `fetch` has it, for cookies. */
  readonly credentials?: RequestCredentials;
  /** Aborting it closes the stream. */
  readonly signal?: AbortSignal;
  /** Begin after this event instead of now. */
  readonly lastEventId?: string;
  /** Failures in a row after which to give up; any number where left out. An event sets the count back. */
  readonly attempts?: number;
  /** How long to wait, in milliseconds. */
  readonly patience?: Partial<Patience>;
  /** Used in place of the global `fetch`. */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** Told each change of state. */
  readonly onState?: (state: State, change: Change) => void;
}
