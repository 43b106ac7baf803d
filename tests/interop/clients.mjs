/** One published client on one URL: prints what it hands to its user as JSON lines, and when it gives up. */

import { EventSource } from "eventsource";

const [name, url] = process.argv.slice(2);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const TYPES = ["message", "tick", "error", "ready", "resume", "gap", "cursor", "reconnect", "done"];

const RUNS = {
  eventsource() {
    setInterval(() => {}, 60_000); // its timer for the next attempt does not keep Node.js running
    const source = new EventSource(url);
    for (const type of TYPES) {
      source.addEventListener(type, (event) => {
        if (event.data !== undefined) say({ event: [type, event.data, event.lastEventId] });
        else if (source.readyState === EventSource.CLOSED) say({ closed: true });
      });
    }
  },

  async "fetch-event-source"() {
    // It is made for pages: what it asks of one is this.
    globalThis.window = globalThis;
    globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
    const { fetchEventSource } = await import("@microsoft/fetch-event-source");
    await fetchEventSource(url, {
      openWhenHidden: true,
      onmessage: ({ event, data, id }) => say({ event: [event || "message", data, id] }),
    });
    say({ closed: true });
  },

  async tailrace() {
    const { subscribe } = await import("../../clients/js/dist/index.js");
    await subscribe(url, { onEvent: ({ type, data, id }) => say({ event: [type, data, id] }) }).closed;
    say({ closed: true });
  },
};

await RUNS[name]();
