/**
 * What keeps an attempt from its end: a network that breaks, a silence that lasts, a server that says no.
 */

/**
 * The attempt is over, and another one may do better. `message` is for people; `after` is how many milliseconds the
 * server asks for (at least); `appointed` is exactly when it wants to see us, also in milliseconds from now.
 */
export class Lost extends Error {
  constructor(message, { after = null, appointed = null, cause } = {}) {
    super(message, { cause });
    this.after = after;
    this.appointed = appointed;
  }
}

/** Wait for the network's part of an attempt; whatever goes wrong with it is a `Lost`. */
export async function unlessLost(promise) {
  try {
    return await promise;
  } catch (error) {
    // fetch tells a broken network by TypeError and our own watchdog by AbortError, in words that differ by browser.
    const silent = error.name === "AbortError" && navigator.onLine;
    throw new Lost(silent ? "Nothing came for too long." : describeNetwork(), { cause: error });
  }
}

function describeNetwork() {
  return navigator.onLine ? "The connection was lost." : "This device is offline.";
}

/** Calls `onSilence` when what is expected has not come in time. */
export class Watchdog {
  #onSilence;
  #timer;

  constructor(onSilence) {
    this.#onSilence = onSilence;
  }

  /** Expect something within so many milliseconds; what was expected before has come. */
  expect(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onSilence, milliseconds);
  }

  /** Expect nothing more. */
  rest() {
    clearTimeout(this.#timer);
  }
}

/** Read what a refusal says: the problem document (RFC 9457) of ours, else what stands in a proxy's place. */
export async function readProblem(response) {
  const { status } = response;
  const text = await response.text();
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  const { code = "", detail = "" } = isProblem ? JSON.parse(text) : {};
  return { status, code, detail: detail || `HTTP status ${status}` };
}

/** The milliseconds of `Retry-After`, which is seconds or a date; null where there is none. */
export function retryAfter(headers) {
  const text = headers.get("Retry-After");
  if (text === null) return null;
  const milliseconds = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return milliseconds >= 0 ? milliseconds : null;
}
