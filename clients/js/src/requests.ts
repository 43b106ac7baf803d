/** One request, as the user's options have it: what session and cancellation ask with. */

import { TailraceError } from "./errors.ts";
import type { StreamOptions } from "./options.ts";

/**
 * Make a request with the user's headers, which are asked for now, below those of `init`. Throws what the user's
 * function throws, and `TailraceError` for a request that cannot be made, now or later.
 */
export async function prepare(options: StreamOptions, url: string, init: RequestInit): Promise<Request> {
  const { headers, credentials = "same-origin" } = options;
  const given = typeof headers === "function" ? await headers() : headers;
  try {
    const all = new Headers(given);
    for (const [name, value] of new Headers(init.headers)) all.set(name, value);
    return new Request(url, { ...init, headers: all, credentials });
  } catch (error) {
    throw new TailraceError("invalid_request", `no request can be made for ${url}: ${(error as Error).message}`);
  }
}

/** Send a request. */
export function send({ fetch = globalThis.fetch }: StreamOptions, request: Request): Promise<Response> {
  return fetch(request);
}
