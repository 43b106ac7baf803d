/** Web Locks for one process, as far as the client uses them: exclusive locks, signals, stealing. */

export class Locks {
  #held = new Map();
  #waiting = new Map();

  async request(name, { signal, steal = false }, callback) {
    signal?.throwIfAborted();
    const granted = await new Promise((resolve, reject) => {
      const request = { resolve, reject };
      signal?.addEventListener("abort", () => {
        const queue = this.#queue(name);
        if (!queue.includes(request)) return;
        queue.splice(queue.indexOf(request), 1);
        reject(signal.reason);
      });
      if (steal) this.#take(name);
      this.#queue(name)[steal ? "unshift" : "push"](request);
      this.#grant(name);
    });
    try {
      return await Promise.race([callback({ name }), granted.stolen]);
    } finally {
      if (this.#held.get(name) === granted) {
        this.#held.delete(name);
        this.#grant(name);
      }
    }
  }

  /** Take a lock from whoever has it, as a browser does from a page that is gone. */
  break(name) {
    this.#take(name);
    this.#grant(name);
  }

  #take(name) {
    this.#held.get(name)?.reject(new DOMException("the lock was stolen", "AbortError"));
    this.#held.delete(name);
  }

  #queue(name) {
    if (!this.#waiting.has(name)) this.#waiting.set(name, []);
    return this.#waiting.get(name);
  }

  #grant(name) {
    if (this.#held.has(name) || this.#queue(name).length === 0) return;
    const holder = {};
    holder.stolen = new Promise((_, reject) => (holder.reject = reject));
    holder.stolen.catch(() => {});
    this.#held.set(name, holder);
    this.#queue(name).shift().resolve(holder);
  }
}
