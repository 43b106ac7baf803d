/** The shared table of client cases: tests/client/cases.json. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";

import { RequestRefused, RunError, Unreachable, attach, chat, subscribe } from "../../clients/js/dist/index.js";
import { Scripted, bytesOf } from "./scripted.mjs";

const cases = JSON.parse(await readFile(new URL("../client/cases.json", import.meta.url), "utf8"));

const STREAM = { headers: { "content-type": "text/event-stream" } };

/** Subscribe to one body, given chunk by chunk; what came of it, when it has ended. */
async function parsed(chunks) {
  const body = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  const events = [];
  let retry = null;
  const subscription = subscribe("http://x/events/a", {
    fetch: async () => new Response(body, STREAM),
    patience: { first: 0.5, jitter: 0 },
    onEvent: ({ type, data, id }) => events.push([type, data, id]),
    onState: (state, { delay }) => {
      if (state !== "reconnecting") return;
      retry = delay === 0.5 ? null : delay;
      subscription.close();
    },
  });
  await subscription.closed;
  return { events, retry, last_event_id: subscription.lastEventId };
}

describe("what every parser must make of a body", () => {
  for (const { name, chunks, ...expected } of cases.parsing) {
    test(name, async () => {
      const whole = Buffer.concat(chunks.map(bytesOf));
      for (const pieces of [chunks.map(bytesOf), [whole], cut(whole, 1), cut(whole, 2)]) {
        assert.deepEqual(await parsed(pieces), expected);
      }
    });
  }
});

function cut(bytes, size) {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
}

const DOES = {
  async subscribe(url, options) {
    const events = [];
    await subscribe(`${url}/events/a`, {
      ...options,
      onEvent: ({ type, data, id }) => events.push([type, data, id]),
      onGap: ({ missed, reason }) => events.push(["gap", { missed, reason }]),
    }).closed;
    return { events };
  },

  async chat(url, options, { message }) {
    return await followed(chat(`${url}/api/chat`, message, options));
  },

  async attach(url, options, { run }) {
    return await followed(attach(`${url}/api/chat`, run, options));
  },
};

async function followed(answer) {
  let text = "";
  let error;
  try {
    for await (const event of answer) {
      if (event.type === "message") text += event.text;
      if (event.type === "restart") text = "";
    }
  } catch (thrown) {
    error = thrown;
  }
  assert.equal(answer.text, text);
  return { text, error, finish_reason: answer.finish?.finish_reason };
}

function outcomeOf(error) {
  if (error === undefined) return "ended";
  if (error instanceof RequestRefused) return { status: error.status, code: error.code };
  if (error instanceof RunError) return { run_error: error.code, retryable: error.retryable };
  if (error instanceof Unreachable) return "unreachable";
  throw error;
}

function checkRequests(seen, expected) {
  assert.deepEqual(
    seen.map(({ method, path }) => [method, path]),
    expected.map(({ method, path }) => [method, path]),
  );
  for (const [at, { headers, body }] of expected.entries()) {
    for (const [name, value] of Object.entries(headers)) {
      const told = seen[at].headers[name];
      assert.equal(told, value ?? undefined, `${name} of request ${at + 1}`);
    }
    if (body) assert.deepEqual(JSON.parse(seen[at].body), body);
  }
}

describe("what every client must do", { concurrency: 8 }, () => {
  for (const each of cases.clients) {
    test(each.name, { timeout: 10_000 }, async () => {
      const server = await new Scripted(each.server).open();
      const waits = [];
      const options = {
        attempts: each.attempts ?? Infinity,
        patience: { first: 1, longest: 30_000, jitter: 0.5 },
        ...(each.last_event_id && { lastEventId: each.last_event_id }),
        onState: (state, { delay }) => state === "reconnecting" && waits.push(delay),
      };
      try {
        const got = await DOES[each.do](server.url, options, each).catch((error) => ({ error }));
        const outcome = outcomeOf(got.error);
        if (typeof each.outcome === "string") assert.equal(outcome, each.outcome);
        else assert.deepEqual({ ...outcome, ...each.outcome }, outcome);
        if (each.events && got.events) {
          const expected = each.events.map(([type, data, id]) => (type === "gap" ? [type, data] : [type, data, id]));
          assert.deepEqual(got.events, expected);
        }
        if (each.text !== undefined) assert.equal(got.text, each.text);
        if (each.finish_reason) assert.equal(got.finish_reason, each.finish_reason);
        if (each.requests) checkRequests(server.seen, each.requests);
        else assert.equal(server.seen.length, each.server.length);
        const keys = new Set(server.seen.filter(({ method }) => method === "POST").map(({ headers }) => headers["idempotency-key"]));
        assert.ok(keys.size <= 1 && !keys.has(undefined) && !keys.has(""));
        for (const [at, [least, most]] of (each.waits ?? []).entries()) {
          assert.ok(waits[at] >= least && waits[at] <= most, `wait ${at + 1}: ${waits[at]} of ${least} to ${most}`);
        }
      } finally {
        await server.close();
      }
    });
  }
});
