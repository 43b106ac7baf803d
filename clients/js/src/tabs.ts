/**
 * One connection for all tabs: a Web Lock elects the tab that has it (the leader), a BroadcastChannel tells the others
 * what it gets. The leader's own user is told by the same messages, so nobody waits for a tab that is slow.
 *
 * Each message says at which cursor the connection stood before it. A tab that stands there too takes it; one that
 * stands elsewhere (it begins with a cursor or a snapshot of its own, it was slow, or the leader has changed and neither
 * is where the other is) is out of step: it opens a connection of its own, from its own cursor, until both have met. So
 * nothing is lost or comes twice, whoever leaves when.
 *
 * A leader that falls silent for longer than it announced (a tab that the system has suspended still holds its lock)
 * loses the lock to a follower.
 */

import type { Change, StreamOptions } from "./options.ts";
import { Session, type Share, type Source, type Wish } from "./session.ts";
import { Standing } from "./standing.ts";
import { Watchdog } from "./waiting.ts";
import type { StreamEvent } from "./wire.ts";

/** What a leader tells. */
interface Told {
  /** When it became the leader, in milliseconds: whoever came last leads, whatever those before it still say. */
  readonly since: number;
  /** Whether nothing has been heard yet on its connection. */
  readonly isNew: boolean;
  /** Where it stood before `events`. */
  readonly from: string;
  readonly events: readonly StreamEvent[];
  /** Where it stands now. */
  readonly to: string;
  /** Milliseconds in which to expect the next message at the latest. */
  readonly quiet: number;
  /** Why and for how long it has no connection. */
  readonly waiting?: Change | undefined;
}

/** A newcomer asks who leads, and where. */
const QUESTION = "?";

const MARGIN = 5000; // milliseconds that a leader may be late: its tab may be busy
const MOST = 1000; // messages kept for a tab that does not take them; one that has lost some is out of step

/**
 * Have all tabs of this origin that subscribe to the same URL use one connection: `subscribe(url, { share: tabs() })`.
 * `group` tells apart who must not share, such as users who are signed in at once. Where there are no Web Locks
 * (outside of browsers, and on pages without TLS) each has its own connection.
 */
export function tabs(group = ""): Share {
  const canShare = typeof BroadcastChannel === "function" && !!globalThis.navigator?.locks;
  return (wish, options) =>
    canShare ? new SharedSession(`tailrace:${group}:${wish.request()[0]}`, wish, options) : new Session(wish, options);
}

class SharedSession implements Source {
  readonly standing: Standing;
  /** Where this tab's user is. */
  cursor: string;

  readonly #name: string;
  readonly #wish: Wish;
  readonly #options: StreamOptions;
  readonly #over = new AbortController();
  readonly #channel: BroadcastChannel;
  readonly #watchdog = new Watchdog(() => this.#apply({ steal: true }));
  #inbox: Told[] = [];
  #wake = (): void => {};
  /** Whether this tab can begin wherever the leader is: its user wants what comes next. */
  #isAnywhere: boolean;
  /** The connection of our own until we are in step. */
  #meeting: Session | undefined;
  /** Since when it leads who tells us. */
  #since = 0;
  /** As the leader: the connection for all, where it stands, whether it has been heard of, and why it is away. */
  #leading: Session | undefined;
  #reached = "";
  #isNew = true;
  #waiting: Change | undefined;
  /** How the connection for all has ended, by itself: an error, or the server has no more. */
  #outcome: { readonly error?: unknown } | undefined;

  constructor(name: string, wish: Wish, options: StreamOptions) {
    this.#name = name;
    this.#wish = wish;
    this.#options = options;
    this.standing = new Standing(options.onState);
    this.cursor = options.lastEventId ?? "";
    this.#isAnywhere = !this.cursor && !/[?&](from|snapshot)=/.test(wish.request()[0]);
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }: MessageEvent<Told | typeof QUESTION>) => this.#heard(data);
  }

  async *follow(): AsyncGenerator<StreamEvent[], void> {
    const { signal } = this.#options;
    signal?.addEventListener("abort", () => this.end(), { signal: this.#over.signal });
    try {
      signal?.throwIfAborted();
      this.#apply({ signal: this.#over.signal });
      this.#channel.postMessage(QUESTION);
      this.#watchdog.expect(MARGIN);
      while (!this.#over.signal.aborted) yield* this.#next();
      signal?.throwIfAborted();
    } catch (error) {
      if (!signal?.aborted) this.standing.become("failed", { error });
      throw error;
    } finally {
      this.end();
      this.standing.become("ended");
    }
  }

  end(): void {
    this.#over.abort();
    this.#meeting?.end();
    this.#leading?.end();
    this.#channel.close();
    this.#watchdog.rest();
    this.#wake();
  }

  hurry(): void {
    this.#meeting?.hurry();
    this.#leading?.hurry();
  }

  /** Wait for the lock; lead as long as it is ours. */
  async #apply(how: LockOptions): Promise<void> {
    try {
      await navigator.locks.request(this.#name, how, () => this.#lead());
    } catch {
      // Only a lock that was lost to another tab matters: one that is not waited for any more is over.
      if (this.#over.signal.aborted) return;
      this.#leading?.end();
      this.#leading = undefined;
      this.#watchdog.expect(MARGIN);
      this.#apply({ signal: this.#over.signal });
    }
  }

  /** Tell all tabs what the connection brings, this one among them, until it ends or the lock is lost. */
  async #lead(): Promise<void> {
    this.#watchdog.rest();
    this.#partFromMeeting();
    this.#since = Math.max(Date.now(), this.#since + 1);
    this.#reached = this.#known();
    const session = this.#open(this.#reached, (waiting) => this.#tellState(session, waiting));
    this.#leading = session;
    this.#isNew = true;
    this.#tell();
    let outcome = {};
    try {
      for await (const events of session.follow()) {
        if (this.#leading !== session) return; // not any more
        const from = this.#reached;
        this.#reached = session.cursor;
        this.#tellState(session, undefined, { from, events });
      }
    } catch (error) {
      outcome = { error };
    }
    if (this.#leading === session) this.#outcome = outcome;
    this.#wake();
  }

  /** Where the messages lead to that this tab's user has not taken yet; what does not follow is let go of. */
  #known(): string {
    let at = this.cursor;
    const stray = this.#inbox.findIndex((told) => {
      const follows = this.#after(at, told);
      at = follows ? told.to : at;
      return !follows;
    });
    if (stray >= 0) this.#inbox.length = stray;
    return at;
  }

  #tellState(session: Session, waiting?: Change, what?: Partial<Told>): void {
    if (this.#leading !== session) return;
    this.#isNew = false;
    this.#waiting = waiting;
    this.#tell(what);
  }

  #tell(what?: Partial<Told>): void {
    if (!this.#leading || this.#over.signal.aborted) return;
    const { quiet } = this.#leading;
    const about = { since: this.#since, isNew: this.#isNew, quiet, waiting: this.#waiting };
    const told: Told = { ...about, from: this.#reached, events: [], to: this.#reached, ...what };
    this.#channel.postMessage(told);
    this.#receive(told);
  }

  #heard(data: Told | typeof QUESTION): void {
    if (data === QUESTION) {
      this.#tell();
      return;
    }
    if (data.since < this.#since) return; // a leader of yesterday
    if (this.#leading) {
      // It is we who have the lock, so the other only seems to be later: a clock was set, or both are of one moment.
      this.#since = data.since + 1;
      this.#tell();
      return;
    }
    this.#since = data.since;
    this.#watchdog.expect(data.quiet + MARGIN * (1 + Math.random()));
    this.#receive(data);
  }

  #receive(told: Told): void {
    this.#inbox.push(told);
    if (this.#inbox.length > MOST) this.#inbox.shift();
    this.#partWhereMet();
    this.#wake();
  }

  /** The next message, or what its absence means. */
  async *#next(): AsyncGenerator<StreamEvent[], void> {
    const told = this.#inbox[0];
    const events = told && this.#after(this.cursor, told);
    if (events) {
      this.#inbox.shift();
      this.#isAnywhere = false;
      this.cursor = told.to;
      if (told.waiting) this.standing.become("reconnecting", told.waiting);
      else if (!told.isNew && !events.length) this.standing.become("live");
      yield [...events];
    } else if (told) {
      yield* this.#meet();
    } else if (this.#outcome) {
      this.end();
      if ("error" in this.#outcome) throw this.#outcome.error;
    } else {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** What comes after a cursor of what was told; undefined where that is not known. */
  #after(cursor: string, { from, events, to }: Told): readonly StreamEvent[] | undefined {
    if (this.#isAnywhere || from === cursor) return events;
    if (to === cursor) return [];
    const at = events.findLastIndex(({ id }) => id === cursor);
    return at < 0 ? undefined : events.slice(at + 1);
  }

  /** Read from a connection of our own until the leader is, or will be, where we are. */
  async *#meet(): AsyncGenerator<StreamEvent[], void> {
    const session = this.#open(this.cursor);
    this.#meeting = session;
    for await (const events of session.follow()) {
      this.cursor = session.cursor;
      yield events;
      this.#partWhereMet();
    }
    if (this.#meeting === session) this.end(); // the server has no more
  }

  #partWhereMet(): void {
    const at = this.#meeting ? this.#inbox.findIndex((told) => this.#after(this.cursor, told)) : -1;
    if (at < 0) return;
    this.#inbox.splice(0, at);
    this.#partFromMeeting();
  }

  #partFromMeeting(): void {
    const session = this.#meeting;
    this.#meeting = undefined;
    session?.end();
  }

  /** A connection from a cursor on; `alive` is called whenever it gives a sign of life, with its wait if there is one. */
  #open(lastEventId: string, alive?: (waiting?: Change) => void): Session {
    const onState: StreamOptions["onState"] = (state, change) => {
      if (state === "ended" || state === "failed") return; // the connection, not the subscription
      if (alive) alive(state === "reconnecting" ? change : undefined);
      else this.standing.become(state, change);
    };
    const { signal: _, ...options } = this.#options;
    const session = new Session({ ...this.#wish, alive: () => alive?.() }, { ...options, onState, lastEventId });
    if (this.#over.signal.aborted) session.end();
    return session;
  }
}
