// A Cloudflare Worker in front of Tailrace. It passes event streams through as they come, and when the connection to
// the origin breaks in the middle of one, it goes on where that was, on a connection of its own: the client sees
// nothing. Set ORIGIN to Tailrace's URL; without it the Worker asks the zone's own origin.
//
// It resumes only what Tailrace can resume: streams whose events have ids. A question is never asked a second time: what
// a POST has started is read on by its run. The streams of /v1 and of the AI SDK pass as they are, with their statuses.

const AS_THEY_ARE = ["/v1/", "/api/ai-sdk/"];
// Seconds before each attempt, until one brings something new. In all it is less than one heartbeat, so that no client
// takes it for a dead connection.
const PATIENCE = [0, 0.25, 0.5, 1, 2, 4, 5];
// Of one unfinished event, which is not passed on before it is whole: a rest of it could not be taken back.
const LARGEST = 16 * 1024 * 1024;
const [LF, COLON] = [10, 58];

export default {
  async fetch(request, env) {
    const asked = new URL(request.url);
    const url = env.ORIGIN ? new URL(asked.pathname + asked.search, env.ORIGIN) : asked;
    const resumable = !AS_THEY_ARE.some((path) => url.pathname.startsWith(path));
    const leaving = new AbortController();
    let response;
    try {
      response = await fetch(new Request(url, request), { redirect: "manual", signal: leaving.signal });
    } catch {
      return isEventSource(request) && resumable ? comeBack() : unavailable(resumable);
    }
    if (response.status >= 502 && isEventSource(request) && resumable) return comeBack();
    if (!resumable || !isStream(response)) return response;
    const next = continuation(request, url, response.headers.get("Tailrace-Run"));
    const stream = new Stream(response, next, leaving);
    return new Response(stream.readable(), { status: response.status, headers: response.headers });
  },
};

const isStream = (response) =>
  response.status === 200 && (response.headers.get("Content-Type") ?? "").startsWith("text/event-stream");

const isEventSource = (request) =>
  request.method === "GET" && (request.headers.get("Accept") ?? "").includes("text/event-stream");

// How to read on after an id, or null where that is impossible: GET by the same URL, POST by the run that it started.
function continuation(request, url, run) {
  const headers = new Headers(request.headers);
  for (const name of ["Content-Type", "Content-Length", "Content-Encoding", "Idempotency-Key"]) headers.delete(name);
  headers.set("Accept", "text/event-stream");
  const target = request.method === "GET" ? url : run && new URL(`/api/chat/${run}`, url);
  return (id) => {
    // Without an id a GET could start a second run; a run is read from its start, of which nothing was passed on.
    if (!target || (!id && request.method === "GET")) return null;
    if (id) headers.set("Last-Event-ID", id);
    return new Request(target, { headers });
  };
}

// One client's stream, over any number of connections to the origin.
class Stream {
  #next;
  #leaving;
  #reader;
  #rest = new Uint8Array(0);
  #id = "";
  #over = false;
  #resumed = false;
  #attempts = 0;

  constructor(response, next, leaving) {
    this.#reader = response.body.getReader();
    this.#next = next;
    this.#leaving = leaving;
  }

  readable() {
    const source = { pull: (controller) => this.#pull(controller), cancel: () => this.#leaving.abort() };
    return new ReadableStream(source, { highWaterMark: 0 });
  }

  // Passes on at least one piece, or ends.
  async #pull(controller) {
    for (;;) {
      const chunk = await this.#read();
      if (chunk === null) return controller.close();
      const whole = this.#whole(chunk);
      if (whole.length > 0) return controller.enqueue(whole);
    }
  }

  // The next bytes, from a new connection if need be; null where there are no more.
  async #read() {
    for (;;) {
      try {
        const { done, value } = await this.#reader.read();
        if (!done) return value;
      } catch {
        // The connection broke: the same as an end that was not announced.
      }
      if (this.#over || this.#leaving.signal.aborted || !(await this.#resume())) return null;
    }
  }

  async #resume() {
    this.#rest = new Uint8Array(0);
    while (this.#attempts < PATIENCE.length) {
      const seconds = PATIENCE[this.#attempts++];
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      const request = this.#next(this.#id);
      if (request === null || this.#leaving.signal.aborted) return false;
      try {
        const response = await fetch(request, { signal: this.#leaving.signal });
        if (isStream(response)) {
          this.#reader = response.body.getReader();
          this.#resumed = true;
          return true;
        }
        await response.body?.cancel();
        // 204: everything was said. 4xx: no attempt will help, and the client is told when it asks for itself.
        if (response.status < 500) return false;
      } catch {
        // The origin is not back yet.
      }
    }
    return false;
  }

  // What is whole by now, and was not passed on: blocks, and the comments between them.
  #whole(chunk) {
    const bytes = joined(this.#rest, chunk);
    let end = afterLastBlock(bytes);
    while (bytes[end] === COLON) {
      const line = bytes.indexOf(LF, end);
      if (line < 0) break;
      end = line + 1;
    }
    this.#rest = bytes.subarray(end);
    if (this.#rest.length > LARGEST) throw new Error("an event of the origin is too large");
    return this.#noted(bytes.subarray(0, end));
  }

  // Notes where whole blocks lead to; and that the origin has recovered all is nothing to a client that lost nothing.
  #noted(bytes) {
    const text = new TextDecoder().decode(bytes);
    const blocks = text.split("\n\n").slice(0, -1);
    for (const block of blocks) {
      const id = field(block, "id") ?? this.#id;
      if (id !== this.#id) [this.#id, this.#attempts] = [id, 0];
      const event = field(block, "event");
      if (event === "done" || event === "reconnect") this.#over = true;
    }
    if (!this.#resumed || blocks.length === 0) return bytes;
    this.#resumed = false;
    // Of several channels some may have lost something: what counts is what is said of all.
    const recovered = field(blocks[0], "event") === "resume" && field(blocks[0], "data").startsWith('{"recovered":true');
    return recovered ? bytes.subarray(blocks[0].length + 2) : bytes; // that block is ASCII
  }
}

function joined(first, second) {
  if (first.length === 0) return second;
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

function afterLastBlock(bytes) {
  for (let at = bytes.length - 1; at > 0; at--) if (bytes[at] === LF && bytes[at - 1] === LF) return at + 1;
  return 0;
}

// Lines end at LF alone here: a pattern with ^ would also take U+2028 within data for the end of one.
function field(block, name) {
  const line = block.split("\n").findLast((each) => each.startsWith(`${name}:`));
  return line?.slice(name.length + 1).replace(/^ /, "");
}

// A stream that ends and says when to come back: an EventSource gives up for good on any status but 200.
function comeBack() {
  const retry = 2000 + Math.floor(Math.random() * 3000);
  return new Response(`retry: ${retry}\nevent: reconnect\ndata: {"reason":"unavailable"}\n\n`, {
    headers: {
      "Content-Type": "text/event-stream",
      "Cache-Control": "no-cache, no-transform",
      "Access-Control-Allow-Origin": "*",
    },
  });
}

function unavailable(native) {
  const detail = "No instance answers; try again.";
  const problem = { type: "about:blank", title: "Service Unavailable", status: 503, code: "unavailable", detail };
  const spoken = { type: "error", error: { type: "api_error", message: detail, code: "unavailable", param: null } };
  return new Response(JSON.stringify(native ? problem : spoken), {
    status: native ? 503 : 502,
    headers: { "Content-Type": native ? "application/problem+json" : "application/json", "Retry-After": "2" },
  });
}
