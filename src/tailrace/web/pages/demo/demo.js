/**
 * The live demo: three channels on one connection of the browser's own EventSource. First comes a snapshot of their
 * states, then exactly what changes them.
 */

import { merged } from "./merge.js";
import { showLoad, showLog, showPrices } from "./views.js";

/** For each channel: what an event does to its state, and who shows it. */
const CHANNELS = {
  "demo.prices": { event: "quotes", change: merged, show: showPrices },
  "demo.log": { event: "line", change: merged, show: showLog },
  "demo.load": { event: "load", change: (_, state) => state, show: showLoad },
};

const STATES = { connecting: "Connecting", live: "Live", lost: "Connection lost, coming back", closed: "Over" };

const states = {};
let events = 0;

function become(state) {
  const line = document.getElementById("state");
  line.dataset.state = state;
  line.querySelector("span").textContent = STATES[state];
}

function set(channel, state, changed) {
  states[channel] = state;
  CHANNELS[channel].show(state ?? {}, changed);
}

function follow() {
  const query = new URLSearchParams([...Object.keys(CHANNELS).map((name) => ["channel", name]), ["snapshot", "1"]]);
  const source = new EventSource(`events?${query}`);
  source.addEventListener("open", () => become("live"));
  // It comes back by itself, with the id of the last event that it saw, unless the server has told it to stop.
  source.addEventListener("error", () => become(source.readyState === EventSource.CLOSED ? "closed" : "lost"));
  source.addEventListener("snapshot", ({ data }) => {
    for (const [channel, { state }] of Object.entries(JSON.parse(data).channels)) set(channel, state, {});
  });
  for (const { event, change } of Object.values(CHANNELS)) {
    source.addEventListener(event, (message) => {
      const { channel, data } = JSON.parse(message.data);
      set(channel, change(states[channel], data), data);
      document.getElementById("events").value = events += 1;
    });
  }
  // Something is missing, so a patch may be: begin with the states again.
  const anew = () => {
    source.close();
    follow();
  };
  source.addEventListener("gap", anew);
  source.addEventListener("resume", ({ data }) => JSON.parse(data).recovered || anew());
}

follow();
