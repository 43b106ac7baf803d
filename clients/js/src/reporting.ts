/** What becomes of an exception that a user's function throws: the stream goes on, and the page hears of it. */

/** Report an exception as that of any listener is: as one that nobody has caught. */
export function report(error: unknown): undefined {
  queueMicrotask(() => {
    throw error;
  });
}
