/** What the JavaScript client has of its own: states, stopping, aborting, headers, several channels, EventSource. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { RequestRefused, TailraceError, attach, chat, subscribe } from "../../clients/js/dist/index.js";
import { EventSource } from "../../clients/js/dist/eventsource.js";
import { tabs } from "../../clients/js/dist/tabs.js";
import { Scripted } from "./scripted.mjs";

const QUICK = { first: 1, longest: 5, jitter: 0 };
const RESUMED = 'event: resume\ndata: {"recovered":true,"reason":"ok","missed":0}\n\n';
const LOST = 'id: f-0\nevent: resume\ndata: {"recovered":false,"reason":"unknown","missed":null}\n\n';
const OUR = { "tailrace-heartbeat": "15" };

function stream(chunks, { then = "end", headers = {} } = {}) {
  return { status: 200, headers: { "content-type": "text/event-stream", ...headers }, chunks: [].concat(chunks), then };
}

async function scripted(t, ...replies) {
  const server = await new Scripted(replies).open();
  t.after(() => server.close());
  return server;
}

/** Subscribe; events are noted, and a promise for the moment that enough have come. */
function following(url, options = {}) {
  const noted = { events: [], states: [] };
  const subscription = subscribe(url, {
    patience: QUICK,
    ...options,
    onEvent: (event) => {
      noted.events.push(event);
      return options.onEvent?.(event);
    },
    onState: (state, change) => {
      noted.states.push(state);
      options.onState?.(state, change);
    },
  });
  return { ...noted, subscription };
}

async function until(condition) {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, "it did not come to be");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

describe("the state of a subscription", () => {
  test("tells connecting, live, reconnecting, resumed, and live again with the next event", async (t) => {
    const server = await scripted(
      t,
      stream("retry: 5\nid: e-1\ndata: a\n\n", { headers: OUR }),
      stream([RESUMED, "id: e-2\ndata: b\n\n"], { headers: OUR }),
      { status: 204 },
    );
    const { states, subscription } = following(`${server.url}/events/a`);
    assert.equal(subscription.state, "connecting");
    await subscription.closed;
    assert.deepEqual(states, ["live", "reconnecting", "resumed", "live", "reconnecting", "ended"]);
  });

  test("tells a gap, with what is missing", async (t) => {
    const server = await scripted(t, stream("id: e-1\ndata: a\n\n", { headers: OUR }), stream(LOST, { headers: OUR }), { status: 204 });
    const gaps = [];
    const { subscription } = following(`${server.url}/events/a`, {
      onState: (state, { reason, missed }) => state === "gap" && gaps.push([reason, missed]),
    });
    await subscription.closed;
    assert.deepEqual(gaps, [["unknown", null]]);
  });

  test("is failed where no attempt could mend it, with the error", async (t) => {
    const server = await scripted(t, { status: 403 });
    const { states, subscription } = following(`${server.url}/events/a`);
    await assert.rejects(subscription.closed, (error) => error instanceof RequestRefused && error.status === 403);
    assert.deepEqual(states, ["failed"]);
  });

  test("is ended by close, and nothing is handed out any more", async (t) => {
    const server = await scripted(t, stream("data: a\n\ndata: b\n\n", { then: "hold" }));
    const { events, states, subscription } = following(`${server.url}/events/a`, { onEvent: () => subscription.close() });
    await subscription.closed;
    assert.deepEqual(events.map(({ data }) => data), ["a"]);
    assert.deepEqual(states, ["live", "ended"]);
  });
});

describe("a subscription", () => {
  test("waits for each promise of onEvent, so that events are handled in order", async (t) => {
    const server = await scripted(t, stream("data: 1\n\ndata: 2\n\n"), { status: 204 });
    const order = [];
    const { subscription } = following(`${server.url}/events/a`, {
      onEvent: async ({ data }) => {
        order.push(`begun ${data}`);
        await new Promise((resolve) => setImmediate(resolve));
        order.push(`done ${data}`);
      },
    });
    await subscription.closed;
    assert.deepEqual(order, ["begun 1", "done 1", "begun 2", "done 2"]);
  });

  test("goes on where onEvent or onState throws, and the error is reported as any listener's", async (t) => {
    const server = await scripted(t, stream("data: 1\n\ndata: 2\n\n"), { status: 204 });
    const reported = [];
    const report = (error) => reported.push(error.message);
    // The test runner's own listeners would take it for a failure.
    const others = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException").on("uncaughtException", report);
    t.after(() => {
      process.removeListener("uncaughtException", report);
      for (const other of others) process.on("uncaughtException", other);
    });
    const { events, subscription } = following(`${server.url}/events/a`, {
      onEvent: ({ data }) => {
        throw new Error(`no ${data}`);
      },
      onState: (state) => {
        if (state === "ended") throw new Error("nor this");
      },
    });
    await subscription.closed;
    await until(() => reported.length === 3);
    assert.deepEqual(reported, ["no 1", "no 2", "nor this"]);
    assert.equal(events.length, 2);
  });

  test("tells onError in place of a rejection", async (t) => {
    const server = await scripted(t, { status: 404 });
    const errors = [];
    const { subscription } = following(`${server.url}/events/a`, { onError: (error) => errors.push(error.status) });
    await subscription.closed;
    assert.deepEqual(errors, [404]);
  });

  test("asks for headers before each attempt, and fails an attempt for which there are none", async (t) => {
    const server = await scripted(t, stream("data: a\n\n"), { status: 204 });
    let asked = 0;
    const { subscription } = following(`${server.url}/events/a`, {
      headers: async () => {
        asked += 1;
        if (asked === 2) throw new Error("no token now");
        return { authorization: `Bearer ${asked}` };
      },
    });
    await subscription.closed;
    assert.deepEqual(server.seen.map(({ headers }) => headers.authorization), ["Bearer 1", "Bearer 3"]);
  });

  test("is given up where the function for headers says so", async () => {
    const headers = () => {
      throw new TailraceError("signed_out", "nobody is signed in");
    };
    const { subscription } = following("http://127.0.0.1:9/events/a", { headers });
    await assert.rejects(subscription.closed, { code: "signed_out" });
  });

  test("does not wait for ever for a function for headers", async (t) => {
    const server = await scripted(t, { status: 204 });
    let asked = 0;
    const headers = () => (asked++ ? {} : new Promise(() => {}));
    const { subscription } = following(`${server.url}/events/a`, { headers, patience: { ...QUICK, answer: 20 } });
    await subscription.closed;
    assert.equal(asked, 2);
  });

  test("cannot be made for what is no URL, and says so at once", async () => {
    const { subscription } = following("/events/a");
    await assert.rejects(subscription.closed, { code: "invalid_request", message: /\/events\/a/ });
  });

  test("refuses options that make no sense", () => {
    assert.throws(() => following("http://x/y", { attempts: 0 }), RangeError);
    assert.throws(() => following("http://x/y", { patience: { first: -1 } }), RangeError);
    assert.throws(() => following("http://x/y", { patience: { answer: "soon" } }), RangeError);
  });

  test("is closed by its signal, also while it waits", async (t) => {
    const server = await scripted(t, { status: 503, headers: { "retry-after": "3600" } });
    const abort = new AbortController();
    const { states, subscription } = following(`${server.url}/events/a`, {
      signal: abort.signal,
      onState: (state) => state === "reconnecting" && abort.abort(),
    });
    await subscription.closed;
    assert.deepEqual(states, ["reconnecting", "ended"]);
  });

  test("makes its next attempt at once when told to hurry", async (t) => {
    const server = await scripted(t, { status: 503, headers: { "retry-after": "3600" } }, { status: 204 });
    const { subscription } = following(`${server.url}/events/a`, {
      onState: (state) => state === "reconnecting" && subscription.hurry(),
    });
    await subscription.closed;
    assert.equal(server.seen.length, 2);
  });

  test("names its channel by name, with the base that is given", async (t) => {
    const server = await scripted(t, { status: 204 });
    await following("a:b~c", { base: `${server.url}/x/` }).subscription.closed;
    assert.equal(server.seen[0].path, "/x/events/a%3Ab~c");
  });

  test("to several channels has one connection, and tells of which one an event is", async (t) => {
    const server = await scripted(
      t,
      stream([
        'id: e1\nevent: ready\ndata: {"channels":["a","b"]}\n\n',
        'id: e2\nevent: tick\ndata: {"channel":"a","data":{"n":1}}\n\n',
        'id: e3\ndata: {"channel":"b","data":"plain"}\n\n',
        'id: e4\nevent: gap\ndata: {"channel":"b","missed":2,"reason":"trimmed"}\n\n',
      ]),
      stream('id: e5\nevent: resume\ndata: {"recovered":false,"channels":{"a":{"recovered":true,"reason":"ok","missed":0},"b":{"recovered":false,"reason":"trimmed","missed":4}}}\n\n'),
      { status: 204 },
    );
    const gaps = [];
    const { events, subscription } = following(["a", "b"], { base: server.url, onGap: (gap) => gaps.push(gap) });
    await subscription.closed;
    assert.equal(server.seen[0].path, "/events?channel=a&channel=b");
    assert.deepEqual(
      events.map(({ type, channel, data, id }) => [type, channel, data, id]),
      [["tick", "a", '{"n":1}', "e2"], ["message", "b", "plain", "e3"]],
    );
    assert.deepEqual(events[0].json(), { n: 1 });
    assert.deepEqual([gaps[0].channel, gaps[0].missed], ["b", 2]);
    assert.deepEqual([gaps[1].missed, gaps[1].reason, gaps[1].channels.b.missed], [4, "trimmed", 4]);
  });

  test("has a connection of its own where there is nothing to share with", async (t) => {
    const server = await scripted(t, stream("data: a\n\n"), { status: 204 });
    const { events, subscription } = following(`${server.url}/events/a`, { share: tabs() });
    await subscription.closed;
    assert.equal(events.length, 1);
  });

  test("refuses an event that is larger than any can be, and does not ask for it again", async (t) => {
    const big = "x".repeat(1024 * 1024);
    const server = await scripted(t, stream(["data: ", ...Array(17).fill(big)], { then: "hold" }));
    await assert.rejects(following(`${server.url}/events/a`).subscription.closed, { code: "event_too_large" });
    assert.equal(server.seen.length, 1);
  });
});

test("a long stream costs no memory", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  const used = [];
  let sent = 0;
  const chunk = () => Array.from({ length: 100 }, () => `id: e-${(sent += 1)}\ndata: {"value":${sent}}\n\n`).join("");
  const fetch = async () => {
    const pull = (controller) => (sent < 100_000 ? controller.enqueue(new TextEncoder().encode(chunk())) : controller.close());
    return new Response(new ReadableStream({ pull }), { headers: { "content-type": "text/event-stream" } });
  };
  let got = 0;
  const subscription = subscribe("http://x/events/a", {
    fetch,
    onEvent: () => {
      got += 1;
      if (got !== 25_000 && got !== 100_000) return;
      collect();
      used.push(process.memoryUsage().heapUsed);
    },
    onState: (state) => state === "reconnecting" && subscription.close(),
  });
  await subscription.closed;
  assert.equal(got, 100_000);
  assert.ok(used[1] - used[0] < 1024 * 1024, `${used}`);
});

const START = 'retry: 5\nid: r-1\nevent: start\ndata: {"run":"r","model":"m"}\n\n';
const said = (offset, text) => `id: r-${offset}\ndata: {"text":"${text}"}\n\n`;
const DONE = "id: r-9\nevent: done\ndata: [DONE]\n\n";
const CANCELLED = 'id: r-8\nevent: error\ndata: {"error":{"type":"caller_cancelled","message":"cancelled","retryable":false}}\n\n';
const RUN = { headers: { "tailrace-run": "r" } };

async function collect(answer) {
  const types = [];
  for await (const { type } of answer) types.push(type);
  return types;
}

describe("an answer", { concurrency: 4 }, () => {
  test("has events that say what they are", async (t) => {
    const tool = 'id: r-3\nevent: tool\ndata: {"index":0,"id":"t1","name":"f","arguments":"{\\"a\\""}\n\n';
    const more = 'id: r-4\nevent: tool\ndata: {"index":0,"id":"","name":"","arguments":":1}"}\n\n';
    const finish = 'id: r-5\nevent: finish\ndata: {"finish_reason":"stop","usage":{"input_tokens":1,"output_tokens":2,"estimated":false},"model":"m","provider":"p"}\n\n';
    const server = await scripted(t, stream(START + said(2, "hi") + tool + more + finish + DONE, RUN));
    const answer = chat(`${server.url}/api/chat`, { messages: [{ role: "user", content: "x" }] }, { patience: QUICK });
    assert.deepEqual(await collect(answer), ["start", "message", "tool", "tool", "finish", "done"]);
    assert.deepEqual(answer.tools, [{ id: "t1", name: "f", arguments: '{"a":1}' }]);
    assert.deepEqual([answer.run, answer.text, answer.finish.usage.output_tokens], ["r", "hi", 2]);
    assert.deepEqual([answer.state, answer.lastEventId], ["ended", "r-9"]);
  });

  test("sends nothing before it is iterated over, nor after a stop before that", async (t) => {
    const server = await scripted(t);
    const answer = chat(`${server.url}/api/chat`, "hi");
    await answer.stop();
    assert.deepEqual(await collect(answer), []);
    assert.equal(server.seen.length, 0);
    assert.equal(answer.state, "ended");
  });

  test("that is stopped is cancelled at the server, and ends after what was said", async (t) => {
    const server = await scripted(t, stream(START + said(2, "a"), { ...RUN, then: "hold" }), { status: 200, body: "{}" });
    const answer = chat(`${server.url}/api/chat`, "hi", { patience: QUICK, headers: { authorization: "Bearer x" } });
    for await (const { type } of answer) {
      if (type === "message") void answer.stop();
      // This server says no more: the client does not wait for ever.
    }
    const [, cancelled] = server.seen;
    assert.deepEqual([cancelled.method, cancelled.path, cancelled.headers.authorization], ["DELETE", "/api/chat/r", "Bearer x"]);
    assert.equal(answer.text, "a");
    assert.equal(answer.state, "ended");
  });

  test("that is stopped ends with what the server writes last, without an error", async (t) => {
    const server = await scripted(t, stream(START + said(2, "a") + said(3, "b") + CANCELLED + DONE, RUN), { status: 200, body: "{}" });
    const answer = chat(`${server.url}/api/chat`, "hi", { patience: QUICK });
    const types = [];
    for await (const { type } of answer) {
      types.push(type);
      if (type === "start") void answer.stop();
    }
    assert.deepEqual(types, ["start", "message", "message", "error", "done"]);
    assert.deepEqual([answer.text, answer.error, answer.state], ["ab", undefined, "ended"]);
  });

  test("that somebody else has stopped is an error", async (t) => {
    const server = await scripted(t, stream(START + CANCELLED + DONE, RUN));
    const answer = chat(`${server.url}/api/chat`, "hi", { patience: QUICK });
    await assert.rejects(collect(answer), { code: "caller_cancelled" });
    assert.equal(answer.state, "failed");
  });

  test("that is stopped before its run is known is cancelled as soon as it is", async (t) => {
    const server = await scripted(t, stream([], { ...RUN, then: "hold" }), { status: 200, body: "{}" });
    let answer;
    const headers = () => {
      void answer.stop();
      return {};
    };
    answer = chat(`${server.url}/api/chat`, "hi", { patience: QUICK, headers });
    const iterated = collect(answer);
    await until(() => server.seen.length === 2);
    assert.deepEqual(server.seen.map(({ method }) => method), ["POST", "DELETE"]);
    answer.close();
    await iterated;
  });

  test("that is stopped while there is no connection ends at once", async (t) => {
    const server = await scripted(t, stream(START + said(2, "a"), RUN), { status: 503, headers: { "retry-after": "3600" } }, { status: 200 });
    let stopped;
    const answer = chat(`${server.url}/api/chat`, "hi", {
      patience: QUICK,
      onState: (state, { delay }) => delay > 1000 && (stopped = answer.stop()),
    });
    await collect(answer);
    await stopped;
    assert.deepEqual(server.seen.map(({ method }) => method), ["POST", "GET", "DELETE"]);
  });

  test("throws the reason of its signal, and the run is left to others", async (t) => {
    const server = await scripted(t, stream(START + said(2, "a"), { ...RUN, then: "hold" }));
    const abort = new AbortController();
    const answer = chat(`${server.url}/api/chat`, "hi", { signal: abort.signal });
    const reason = new Error("left");
    await assert.rejects(async () => {
      for await (const { type } of answer) if (type === "message") abort.abort(reason);
    }, reason);
    assert.deepEqual([server.seen.length, answer.state], [1, "ended"]);
  });

  test("is left by a break, and the connection is let go of", async (t) => {
    const server = await scripted(t, stream(START + said(2, "a"), { ...RUN, then: "hold" }));
    const answer = chat(`${server.url}/api/chat`, "hi");
    for await (const { type } of answer) if (type === "message") break;
    assert.deepEqual([answer.state, answer.lastEventId, answer.text], ["ended", "r-2", "a"]);
  });

  test("tells of its connection among its events", async (t) => {
    const leaving = 'retry: 5\nevent: reconnect\ndata: {"reason":"draining"}\n\n';
    const server = await scripted(t, stream(START + leaving, RUN), stream(RESUMED + said(2, "a") + DONE, RUN));
    assert.deepEqual(await collect(chat(`${server.url}/api/chat`, "hi")), ["start", "reconnect", "resume", "message", "done"]);
  });

  test("can be attached to with what was said so far", async (t) => {
    const snapshot = 'id: r-5\nevent: snapshot\ndata: {"text":"abc","thinking":"hm"}\n\n';
    const server = await scripted(t, stream(snapshot + said(6, "d") + DONE, RUN));
    const answer = attach(`${server.url}/api/chat?key=1`, "r", { snapshot: true });
    await collect(answer);
    assert.equal(server.seen[0].path, "/api/chat/r?key=1&snapshot=1");
    assert.deepEqual([answer.text, answer.thinking], ["abcd", "hm"]);
  });

  test("does not take more from the network than is asked of it", async (t) => {
    let pulled = 0;
    const fetch = async () => {
      const body = new ReadableStream(
        { pull: (controller) => controller.enqueue(new TextEncoder().encode(pulled++ ? said(2, "a") : START)) },
        { highWaterMark: 0 },
      );
      return new Response(body, { headers: { "content-type": "text/event-stream", "tailrace-run": "r" } });
    };
    const answer = chat("http://x/api/chat", "hi", { fetch });
    let events = 0;
    for await (const _ of answer) if (++events === 10) break;
    assert.ok(pulled <= 11, `${pulled} chunks for 10 events`);
  });
});

describe("EventSource", () => {
  function sourceOf(t, url, init) {
    const source = new EventSource(url, { patience: QUICK, ...init });
    t.after(() => source.close());
    return source;
  }

  test("does as the browser's own: open, messages, named events, ids, reconnection", async (t) => {
    const server = await scripted(
      t,
      stream("retry: 5\nid: 1\ndata: a\n\nevent: tick\ndata: b\n\n"),
      stream('data: c\n\nretry: 1\nevent: reconnect\ndata: {"reason":"draining"}\n\n', { then: "hold" }),
    );
    const source = sourceOf(t, `${server.url}/events/a`, { headers: { authorization: "Bearer x" } });
    const seen = [];
    source.onopen = () => seen.push(["open", source.readyState]);
    source.onmessage = ({ data, lastEventId, origin }) => seen.push([data, lastEventId, origin === server.url]);
    source.onerror = () => seen.push(["error", source.readyState]);
    source.addEventListener("tick", ({ data }) => seen.push(["tick", data]));
    assert.equal(source.readyState, EventSource.CONNECTING);
    await once(source, "reconnect"); // the server's own events are events here
    assert.deepEqual(seen, [
      ["open", 1], ["a", "1", true], ["tick", "b"], ["error", 0], ["open", 1], ["c", "1", true],
    ]);
    assert.equal(server.seen[1].headers["last-event-id"], "1");
    assert.equal(server.seen[0].headers.authorization, "Bearer x");
    source.close();
    assert.equal(source.readyState, EventSource.CLOSED);
  });

  for (const [name, reply] of Object.entries({
    "a refusal": { status: 403 },
    "204": { status: 204 },
    "what is no event stream": { status: 200, headers: { "content-type": "text/html" }, body: "x" },
  })) {
    test(`is closed by ${name}, and says why`, async (t) => {
      const server = await scripted(t, reply);
      const source = sourceOf(t, `${server.url}/events/a`);
      const [event] = await once(source, "error");
      assert.equal(source.readyState, EventSource.CLOSED);
      assert.ok(event.error);
    });
  }

  test("hands out nothing after close", async (t) => {
    const server = await scripted(t, stream("data: a\n\ndata: b\n\n", { then: "hold" }));
    const source = sourceOf(t, `${server.url}/events/a`);
    const seen = [];
    source.onmessage = ({ data }) => seen.push(data) && source.close();
    await until(() => seen.length);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(seen, ["a"]);
  });

  test("refuses what is no URL", () => {
    assert.throws(() => new EventSource("/events/a"), SyntaxError);
  });
});
