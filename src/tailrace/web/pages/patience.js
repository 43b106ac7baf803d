/**
 * How long to wait before the next attempt. Only numbers are made here; waiting is left to the stream.
 */

const FIRST = 1000; // milliseconds, where the server has not said `retry:`
const LONGEST = 30_000;
const JITTER = 0.5;

/** Failures in a row, and what each one costs in time. `random` returns a number in [0, 1). */
export class Patience {
  #failures = 0;
  #random;

  constructor(random = Math.random) {
    this.#random = random;
  }

  /** Start counting anew. */
  succeeded() {
    this.#failures = 0;
  }

  /**
   * Count a failure; return the milliseconds to wait. `retry` is the server's standing word and stands for the first
   * delay, `retryAfter` its word for this one; neither is undercut, jitter only adds: clients that lost the same
   * server must not come back at the same moment.
   */
  failed(retry = null, retryAfter = null) {
    const first = retry ?? FIRST;
    const doubled = Math.min(first * 2 ** Math.min(this.#failures, 16), Math.max(first, LONGEST));
    this.#failures += 1;
    return (retryAfter ?? doubled) * (1 + JITTER * this.#random());
  }
}
