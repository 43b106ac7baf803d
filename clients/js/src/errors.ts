/**
 * What can go wrong, as one tree. `code` is for programs and stays, the message is for people.
 *
 *     TailraceError
 *     ├── RequestRefused   the server said no, or what answered is no Tailrace: `status`, `code`, `retryAfter`
 *     ├── Unreachable      no server answered, in all the attempts that were allowed
 *     └── RunError         the answer of a model failed: `code` is one of the server's error types, `retryable`
 */

/** Anything that ends a stream against its user's will. */
export class TailraceError extends Error {
  override name = "TailraceError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** An answer that is no stream. `retryAfter` is in milliseconds, undefined where the server named none. */
export class RequestRefused extends TailraceError {
  override name = "RequestRefused";
  readonly status: number;
  readonly retryAfter: number | undefined;

  constructor(status: number, code: string, message: string, retryAfter?: number) {
    super(code, message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** The last attempt has failed too. */
export class Unreachable extends TailraceError {
  override name = "Unreachable";
}

/** The run ended in another way than by the model's own end. */
export class RunError extends TailraceError {
  override name = "RunError";
  /** Whether asking again, with another idempotency key, may help. */
  readonly retryable: boolean;

  constructor(code: string, message: string, retryable: boolean) {
    super(code, message);
    this.retryable = retryable;
  }
}

const MOST = 65_536; // characters of a refusal that are looked at; ours have a few hundred

/** Read a refusal: a problem document (RFC 9457) of ours, else what stands in a proxy's place. */
export async function refusal(response: Response): Promise<RequestRefused> {
  const { status, headers, url } = response;
  const { code, detail, title } = problem((await response.text()).slice(0, MOST));
  const message = detail || title || response.statusText || "no reason was given";
  return new RequestRefused(status, code || `http_${status}`, `${message} (${status}, ${url})`, retryAfter(headers));
}

function problem(text: string): { code?: string; detail?: string; title?: string } {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** The milliseconds of `Retry-After`, which is seconds or a date; a date is read by the server's own clock. */
function retryAfter(headers: Headers): number | undefined {
  const text = headers.get("retry-after") ?? "";
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const until = Date.parse(text) - (Date.parse(headers.get("date") ?? "") || Date.now());
  return until >= 0 ? until : undefined; // neither for a date that has passed nor for none, which is NaN
}
