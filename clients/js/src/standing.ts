/** Where a stream stands, as its user is told. Who decides it is the session; what may follow what is decided here. */

import type { Change, State } from "./options.ts";
import { report } from "./reporting.ts";
import { readVerdict } from "./verdict.ts";
import type { StreamEvent } from "./wire.ts";

export class Standing {
  state: State = "connecting";
  readonly #onState: ((state: State, change: Change) => void) | undefined;

  constructor(onState?: (state: State, change: Change) => void) {
    this.#onState = onState;
  }

  get isOver(): boolean {
    return this.state === "ended" || this.state === "failed";
  }

  become(state: State, change: Change = {}): void {
    // What is over stays over; a second gap or wait is news of its own.
    if (this.isOver || (this.state === state && state !== "gap" && state !== "reconnecting")) return;
    this.state = state;
    try {
      this.#onState?.(state, change);
    } catch (error) {
      report(error);
    }
  }

  /** Take note of an event that is about to be handed to the user. */
  note({ type, data }: StreamEvent): void {
    const verdict = type === "resume" || type === "gap" ? readVerdict(data) : undefined;
    if (verdict?.recovered) this.become("resumed");
    else if (verdict) this.become("gap", { reason: verdict.reason, missed: verdict.missed });
    else if (type !== "reconnect") this.become("live");
  }
}
