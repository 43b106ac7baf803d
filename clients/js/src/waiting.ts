/** Timers that a session needs: one that can be cut short, and one that bites when nothing comes. */

const LONGEST = 2 ** 31 - 1; // milliseconds; for more than that, a timer fires at once

function later(action: () => void, milliseconds: number): () => void {
  const timer = setTimeout(action, Math.min(milliseconds, LONGEST));
  return () => clearTimeout(timer);
}

/** Calls `onSilence` when what is expected has not come in time. */
export class Watchdog {
  #rest = (): void => {};
  readonly #onSilence: () => void;

  constructor(onSilence: () => void) {
    this.#onSilence = onSilence;
  }

  /** Expect something within so many milliseconds; what was expected before has come. */
  expect(milliseconds: number): void {
    this.#rest();
    this.#rest = later(this.#onSilence, milliseconds);
  }

  /** Expect nothing more. */
  rest(): void {
    this.#rest();
  }
}

/** A sleep that `wake` ends early. */
export class Sleep {
  wake = (): void => {};

  async for(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = later(resolve, milliseconds);
      this.wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
