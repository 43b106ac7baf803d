/** Tabs that share a connection: whoever comes, leaves or is suspended when, each has every event once and in order. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { subscribe } from "../../clients/js/dist/index.js";
import { tabs } from "../../clients/js/dist/tabs.js";
import { Locks } from "./locks.mjs";
import { SEED, seeded } from "./seeded.mjs";

const locks = new Locks();
Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });

const tick = (milliseconds = 0) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function until(condition, what) {
  const deadline = Date.now() + 8000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, what());
    await tick(1);
  }
}

/** A channel and its server, without a network: `fetch` for clients. */
class Channel {
  log = [];
  connections = new Set();
  opened = 0;
  refuses = false;

  publish() {
    this.log.push(`data: ${this.log.length}\nid: e-${this.log.length + 1}\n\n`);
    for (const connection of this.connections) connection.deliver();
  }

  cut() {
    for (const { controller } of this.connections) controller.error(new TypeError("cut"));
    this.connections.clear();
  }

  fetch = async (request) => {
    request.signal.throwIfAborted();
    if (this.refuses) throw new TypeError("refused");
    this.opened += 1;
    const cursor = request.headers.get("last-event-id");
    const first = cursor ? 'event: resume\ndata: {"recovered":true,"reason":"ok","missed":0}\n\n' : `id: e-${this.log.length}\nevent: ready\ndata: {}\n\n`;
    const connection = { next: cursor ? Number(cursor.slice(2)) : this.log.length };
    const send = (text) => connection.controller.enqueue(new TextEncoder().encode(text));
    connection.deliver = () => {
      if (connection.next < this.log.length) send(this.log.slice(connection.next).join(""));
      connection.next = this.log.length;
    };
    const body = new ReadableStream({
      start: (controller) => {
        connection.controller = controller;
        this.connections.add(connection);
        send(`retry: 1\n${first}`);
        connection.deliver();
      },
      cancel: () => this.connections.delete(connection),
    });
    request.signal.addEventListener("abort", () => {
      if (this.connections.delete(connection)) connection.controller.error(request.signal.reason);
    });
    return new Response(body, { headers: { "content-type": "text/event-stream", "tailrace-heartbeat": "15" } });
  };
}

let groups = 0;

/** Tabs of one browser on one channel. */
class Browser {
  channel = new Channel();
  open = [];
  #group = `group ${(groups += 1)}`;
  url = "http://x/events/a";

  get lock() {
    return `tailrace:${this.#group}:${this.url}`;
  }

  tab(options = {}) {
    const got = [];
    const states = [];
    const subscription = subscribe(this.url, {
      share: tabs(this.#group),
      fetch: this.channel.fetch,
      patience: { first: 1, longest: 5 },
      ...options,
      onEvent: ({ data }) => {
        got.push(Number(data));
        return options.onEvent?.();
      },
      onGap: () => got.push("gap"),
      onState: (state) => states.push(state),
    });
    const tab = { got, states, subscription };
    this.open.push(tab);
    return tab;
  }

  async close(tab) {
    this.open.splice(this.open.indexOf(tab), 1);
    tab.subscription.close();
    await tab.subscription.closed;
  }

  /** Publish until all tabs have the newest event, over one connection. */
  async settled() {
    const { channel, open } = this;
    const told = () => JSON.stringify([channel.log.length, channel.connections.size, open.map(({ got, states }) => [got, states])]);
    const isThere = ({ got }) => got.at(-1) === channel.log.length - 1;
    let rests = 0;
    await until(() => {
      // Whoever is not connected yet begins with what is published after that.
      if (rests-- === 0) channel.publish();
      if (rests < 0) rests = 20;
      return open.every(isThere) && channel.connections.size === Math.min(1, open.length);
    }, told);
  }

  async [Symbol.asyncDispose]() {
    for (const tab of [...this.open]) await this.close(tab);
  }
}

function assertWhole({ got }, first = got[0]) {
  assert.deepEqual(got, Array.from({ length: got.length }, (_, at) => first + at));
}

async function browsing(does) {
  const browser = new Browser();
  try {
    await does(browser, browser.channel);
    browser.open.forEach((tab) => assertWhole(tab));
  } finally {
    await browser[Symbol.asyncDispose]();
    await until(() => browser.channel.connections.size === 0, () => "a connection was left behind");
  }
}

const ROUNDS = Number(process.env.TAILRACE_ROUNDS ?? 30);

describe("tabs that share", { concurrency: 12 }, () => {
  test("have one connection, and each has every event", () =>
    browsing(async (browser, channel) => {
      for (let n = 0; n < 8; n += 1) browser.tab();
      await until(() => browser.open.every(({ states }) => states.at(-1) === "live"), () => "not all are live");
      for (let n = 0; n < 20; n += 1) channel.publish();
      await browser.settled();
      assert.equal(channel.opened, 1);
      for (const tab of browser.open) assertWhole(tab, 0);
    }));

  test("go on where the leader leaves", () =>
    browsing(async (browser) => {
      for (let n = 0; n < 4; n += 1) browser.tab();
      await browser.settled();
      while (browser.open.length > 1) {
        await browser.close(browser.open[0]);
        await browser.settled();
      }
    }));

  test("go on where the leader is gone without a word, and the one that comes back follows", () =>
    browsing(async (browser) => {
      for (let n = 0; n < 3; n += 1) browser.tab();
      await browser.settled();
      locks.break(browser.lock);
      await browser.settled();
    }));

  test("tell each other that the connection is lost, and there again", () =>
    browsing(async (browser, channel) => {
      for (let n = 0; n < 3; n += 1) browser.tab();
      await browser.settled();
      channel.refuses = true;
      channel.cut();
      await until(() => browser.open.every(({ states }) => states.at(-1) === "reconnecting"), () => "not all were told");
      channel.refuses = false;
      await browser.settled();
      for (const { states } of browser.open) assert.deepEqual(states.slice(-3), ["reconnecting", "resumed", "live"]);
    }));

  test("let one that comes with a cursor catch up by itself, and then share with it", () =>
    browsing(async (browser, channel) => {
      for (let n = 0; n < 5; n += 1) channel.publish();
      browser.tab();
      await browser.settled();
      const late = browser.tab({ lastEventId: "e-2" });
      await browser.settled();
      assertWhole(late, 2);
      assert.equal(channel.opened, 2);
    }));

  test("let one that is slow catch up by itself once it is too far behind, and lose nothing", () =>
    browsing(async (browser, channel) => {
      browser.tab();
      await browser.settled();
      let go = () => {};
      const stopped = new Promise((resolve) => (go = resolve));
      const slow = browser.tab({ onEvent: () => stopped });
      await browser.open[0].got.length;
      await until(() => slow.states.includes("live"), () => "it is not live");
      for (let n = 0; n < 1500; n += 1) {
        channel.publish();
        await null;
        if (n % 10 === 0) await tick();
      }
      go();
      await browser.settled();
    }));

  test("do not wait for a leader whose user is slow, who has everything in the end", () =>
    browsing(async (browser, channel) => {
      let go = () => {};
      const stopped = new Promise((resolve) => (go = resolve));
      const slow = browser.tab({ onEvent: () => stopped });
      await until(() => slow.states.includes("live"), () => "it is not live");
      const quick = browser.tab();
      channel.publish();
      await until(() => slow.got.length === 1 && quick.got.length, () => "not begun");
      for (let n = 0; n < 1500; n += 1) {
        channel.publish();
        if (n % 10 === 0) await tick();
      }
      await until(() => quick.got.at(-1) === channel.log.length - 1, () => "it waits");
      assert.equal(slow.got.length, 1);
      go();
      await browser.settled();
    }));

  test("end where the server has no more", async () => {
    const browser = new Browser();
    const fetch = async () => new Response(null, { status: 204 });
    const all = [browser.tab({ fetch }), browser.tab({ fetch })];
    await Promise.all(all.map(({ subscription }) => subscription.closed));
    assert.deepEqual(all.map(({ states }) => states.at(-1)), ["ended", "ended"]);
  });

  test("each fail by themselves where they are refused", async () => {
    const browser = new Browser();
    const fetch = async () => new Response(null, { status: 403 });
    const all = [browser.tab({ fetch }), browser.tab({ fetch })];
    const results = await Promise.allSettled(all.map(({ subscription }) => subscription.closed));
    assert.deepEqual(results.map(({ reason }) => reason.status), [403, 403]);
  });

  test("take the lock from a leader that says nothing for longer than it announced", { timeout: 15_000 }, async () => {
    const browser = new Browser();
    // A suspended tab: it has the lock, and that is all.
    const suspended = new AbortController();
    const held = locks.request(browser.lock, {}, () => new Promise((resolve) => suspended.signal.addEventListener("abort", resolve)));
    held.catch(() => {});
    const tab = browser.tab();
    await browser.settled();
    assertWhole(tab);
    await browser.close(tab);
  });

  test(`have every event once and in order, whatever happens in whatever order (seed ${SEED})`, { timeout: 60_000 + ROUNDS * 200 }, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const { below, pick } = seeded(SEED + round);
      await browsing(async (browser, channel) => {
        const steps = [
          () => channel.publish(),
          () => channel.publish(),
          () => channel.publish(),
          () => channel.cut(),
          () => locks.break(browser.lock),
          () => browser.open.length < 6 && browser.tab(),
          () => browser.open.length < 6 && browser.tab({ lastEventId: `e-${below(channel.log.length + 1)}` }),
          () => browser.open.length < 6 && browser.tab({ onEvent: () => tick() }),
          () => browser.open.length && browser.close(pick(browser.open)),
          () => tick(),
          () => tick(3),
        ];
        browser.tab();
        for (let step = 0; step < 30; step += 1) await pick(steps)();
        await browser.settled().catch((error) => assert.fail(`seed ${SEED + round}: ${error.message}`));
      });
    }
  });
});
