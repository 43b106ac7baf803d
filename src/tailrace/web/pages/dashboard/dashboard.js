/** The operations page: reads what all instances report, once a second, and shows it. */

import { Fleet } from "./fleet.js";
import { confirmed, ordered } from "./orders.js";
import { Plots } from "./plots.js";
import { Table } from "./tables.js";
import { brief, bytes, count, isTrouble, make, reason, say, span, UNKNOWN } from "./words.js";

const PERIOD = 1000;
const TOLD_FOR = 6000;

const source = new EventSource("dashboard/events");
const fleet = new Fleet();
const status = document.querySelector("#status");
const shown = document.querySelector("#shown");
const leave = document.querySelector("#leave");

const within = ({ p50, p95 }) => `${brief(p50)} / ${brief(p95)}`;

const FIGURES = [
  ["Streams", (total) => count(total.streams)],
  ["Answers", (total) => count(total.runs)],
  ["Tokens a second", (total) => count(total.tokens)],
  ["First token, p50 / p95", (total) => within(total.firstToken)],
  ["Failures a second", (total) => count(total.failed)],
  ["Readers that take nothing", (total) => `${count(total.slow)} (${bytes(total.pending)})`],
  ["Waiting for a place", (total) => count(total.waiting)],
  ["Memory", (total) => bytes(total.memory)],
  ["CPU, cores", (total) => (total.cpu === null ? UNKNOWN : total.cpu.toFixed(2))],
  ["Event loop late, p95", (total) => brief(total.lag.p95)],
  ["Store", (total) => storeOf(total)],
  ["Instances", (total) => count(total.instances)],
];

const PLOTS = [
  {
    title: "Streams and answers",
    lines: [
      { label: "streams", value: ({ streams }) => streams },
      { label: "answers", value: ({ runs }) => runs },
    ],
    format: count,
  },
  { title: "Tokens a second", lines: [{ label: "tokens", value: ({ tokens }) => tokens }], format: count },
  {
    title: "Time to first token",
    lines: [
      { label: "p50", value: ({ firstToken }) => firstToken.p50 },
      { label: "p95", value: ({ firstToken }) => firstToken.p95 },
    ],
    format: brief,
  },
  { title: "Failures a second", lines: [{ label: "failures", value: ({ failed }) => failed }], format: count },
  { title: "Memory", lines: [{ label: "resident", value: ({ memory }) => memory }], format: bytes },
  { title: "CPU, cores", lines: [{ label: "cores", value: ({ cpu }) => cpu }], format: count },
];

const figures = FIGURES.map(([title, text]) => {
  const group = make("div");
  const value = make("dd", UNKNOWN);
  group.append(make("dt", title), value);
  document.querySelector("#figures").append(group);
  return { value, text };
});

const plots = new Plots(document.querySelector("#plots"), PLOTS);

const instances = new Table(document.querySelector("#instances"), "Instances, and how each of them is", [
  { title: "Instance", text: (each) => (each.unheard ? each.id.slice(0, 10) : `${each.host}, process ${each.pid}`) },
  { title: "State", text: stateOf, mark: (each) => (each.unheard || each.silent ? "silent" : each.status) },
  { title: "Version", text: (each) => each.version ?? UNKNOWN },
  { title: "Up", text: (each) => (each.unheard ? UNKNOWN : span(each.at - each.started)), className: "number" },
  { title: "Streams", text: (each) => count(each.streams), className: "number" },
  { title: "Answers", text: (each) => count(each.runs), className: "number" },
  { title: "Tokens/s", text: (each) => count(each.rates?.tokens), className: "number" },
  { title: "Memory", text: (each) => bytes(each.memory), className: "number" },
  { title: "CPU", text: (each) => each.rates?.cpu?.toFixed(2) ?? UNKNOWN, className: "number" },
  {
    title: "Drain",
    button: {
      label: "Drain",
      name: (each) => (each.status === "healthy" || each.status === "degraded" ? `Drain process ${each.pid}` : ""),
      press: drain,
    },
  },
]);

const streams = new Table(document.querySelector("#streams"), "Open streams, those furthest behind first", [
  { title: "What", text: whatOf },
  { title: "Model", text: (each) => each.model },
  { title: "Reader", text: (each) => each.reader },
  { title: "Dialect", text: (each) => each.dialect },
  { title: "Open for", text: (each) => span(each.age), className: "number" },
  { title: "Events behind", text: (each) => count(each.records), className: "number" },
  { title: "Bytes behind", text: (each) => bytes(each.bytes), className: "number" },
  {
    title: "Why",
    text: (each) => reason(each.why, each.seconds),
    mark: (each) => (isTrouble(each.why, each.seconds) ? "trouble" : ""),
  },
  {
    title: "Cancel",
    button: {
      label: "Cancel",
      name: (each) => (each.log === "run" ? `Cancel answer ${each.name}` : ""),
      press: cancel,
    },
  },
]);

function storeOf({ stores, latency, away }) {
  if (away) return `${stores}: away for ${span(away)}`;
  return latency.p95 === null ? stores : `${stores}, p95 ${brief(latency.p95)}`;
}

function stateOf(each) {
  if (each.unheard) return "says nothing";
  if (each.silent) return each.status === "draining" ? "has left" : `silent for ${span(each.silent)}`;
  return each.status;
}

function whatOf(each) {
  if (each.log === "page") return "this page";
  return each.log === "run" ? `answer ${each.name}…` : `${each.log.replace("channels", "channels:")} ${each.name}`;
}

/** Who reads, where there is something to cancel. */
async function cancel(each) {
  const whose = each.reader ? ` It is read by ${each.reader}.` : "";
  const detail = `All who watch it are told, and its provider is asked no further.${whose}`;
  if (!(await confirmed(`Cancel answer ${each.name}…?`, detail, "Cancel it"))) return;
  tell(await ordered("dashboard/cancel", { run: each.name }));
}

async function drain(each) {
  const detail =
    "It takes no new connections, sends its readers to another instance or lets its answers end, and stops. " +
    "Whether another one is started is up to whatever started it.";
  if (!(await confirmed(`Drain process ${each.pid} on ${each.host}?`, detail, "Drain it"))) return;
  tell(await ordered("dashboard/drain", { instance: each.id }));
}

let told = -Infinity;

/** Say what became of an order, for some seconds. */
function tell(text) {
  say(shown, text);
  told = performance.now();
}

function showStreams(now) {
  const { rows, total } = fleet.streams(now);
  streams.show(rows, (each) => [each.instance, each.log, each.name, each.reader, each.opened].join("\n"));
  if (now - told < TOLD_FOR) return;
  say(shown, total > rows.length ? `The ${count(rows.length)} furthest behind of ${count(total)}.` : "");
}

function show() {
  const now = performance.now();
  const total = fleet.total(now);
  plots.add(Date.now() / 1000, total);
  for (const { value, text } of figures) say(value, total === null ? UNKNOWN : text(total));
  instances.show(fleet.instances(now), ({ id }) => id);
  showStreams(now);
  if (source.readyState === EventSource.OPEN && total !== null) light(total.status);
}

const LIGHTS = {
  connecting: "Connecting",
  healthy: "Healthy",
  degraded: "Degraded: the store is away",
  draining: "Draining",
  away: "Not connected; trying again",
  ended: "Signed out: reload this page to sign in",
};

/** What a screen reader hears is the state, when it changes, and no figure each second. */
function light(state) {
  status.dataset.state = state;
  say(status.querySelector("b"), LIGHTS[state]);
}

source.addEventListener("ready", ({ data }) => {
  const { bounds, reports } = JSON.parse(data);
  fleet.begin(bounds);
  for (const report of reports) fleet.take(report, performance.now());
  first();
});
for (const name of ["watched", "report"]) {
  source.addEventListener(name, ({ data }) => {
    fleet.take(JSON.parse(data), performance.now());
    first();
  });
}
source.addEventListener("error", () => light(source.readyState === EventSource.CLOSED ? "ended" : "away"));

let ticking = null;

/** With the first report everything is shown at once, and from then on each second. */
function first() {
  if (ticking !== null) return;
  ticking = setInterval(show, PERIOD);
  show();
}

const session = await fetch("auth/session").then((answer) => (answer.ok ? answer.json() : null), () => null);
leave.hidden = !session?.name;
leave.addEventListener("click", async () => {
  await fetch("auth/session", { method: "DELETE" });
  location.reload();
});
