/**
 * A link with which others can watch an answer: in another tab, on another device, by another person. What it opens
 * stands behind the `#`, which browsers keep to themselves: no server and no proxy on the way has it in its log.
 */

import { headers, problem } from "./session.js";

const TICKETS = new URL("auth/ticket", document.baseURI);

/** Make a link to the answer of `run`. Throws an `Error` with words for people. */
export async function linkTo(run) {
  const response = await fetch(TICKETS, {
    method: "POST",
    headers: { ...headers(), "Content-Type": "application/json" },
    body: JSON.stringify({ run, share: true }),
  });
  if (!response.ok) throw new Error((await problem(response)) || `The server said ${response.status}.`);
  const { ticket } = await response.json();
  const link = new URL("./", document.baseURI);
  link.hash = new URLSearchParams({ run, ticket }).toString();
  return link.href;
}

/** What the page's own address says is to be watched: `{run, ticket}`; null where that is nothing. */
export function shared() {
  const { run, ticket } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  return run ? { run, ticket } : null;
}
