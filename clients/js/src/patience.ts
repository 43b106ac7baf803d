/** How long to wait, and how often to try again. Only numbers are made here; waiting is the session's. */

/** Times in milliseconds; `jitter` is a share of 1. */
export interface Patience {
  /** Before the second attempt, where the server named no `retry:`; it doubles from failure to failure. */
  readonly first: number;
  /** The most that doubling comes to. */
  readonly longest: number;
  /** Up to this share is added, so that clients that lost the same server do not return together. */
  readonly jitter: number;
  /** Until the head of an answer. */
  readonly answer: number;
  /** Of silence within a stream whose server announced no heartbeat. */
  readonly silence: number;
}

const USUAL: Patience = { first: 1000, longest: 30_000, jitter: 0.5, answer: 30_000, silence: 120_000 };

/** The usual patience, but for what is given. Throws RangeError for a time that is none. */
export function patienceOf(given: Partial<Patience> = {}): Patience {
  for (const [name, value] of Object.entries(given)) {
    if (!(value >= 0)) throw new RangeError(`patience.${name} is ${value}; expected a number, 0 or more`);
  }
  return { ...USUAL, ...given };
}

/** Failures in a row, and what each one costs in time. */
export class Retries {
  #failures = 0;
  readonly #patience: Patience;
  readonly #attempts: number;

  constructor(patience: Patience, attempts = Infinity) {
    if (!(attempts >= 1)) throw new RangeError(`attempts is ${attempts}; expected 1 or more`);
    this.#patience = patience;
    this.#attempts = attempts;
  }

  /** Start counting anew. */
  succeeded(): void {
    this.#failures = 0;
  }

  /**
   * Count a failure; return the milliseconds to wait, undefined where no attempt is left. `retry` is the server's
   * standing word and stands for the first delay, `after` its word for this one. Neither is undercut: jitter only adds.
   */
  failed(retry?: number, after?: number): number | undefined {
    const { first, longest, jitter } = this.#patience;
    this.#failures += 1;
    if (this.#failures >= this.#attempts) return undefined;
    // `retry:` is for a server that is there; a small one must not become a storm on one that is not.
    const base = this.#failures > 1 ? Math.max(retry ?? 0, first) : (retry ?? first);
    const doubled = Math.min(base * 2 ** Math.min(this.#failures - 1, 32), Math.max(base, longest));
    return (after ?? doubled) * (1 + jitter * Math.random());
  }
}
