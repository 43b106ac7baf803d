/**
 * The three parts of the demo page. Each shows a whole state; `changed` is what the last event set in it.
 * Anybody may publish there: whatever stands in an event only ever becomes text, and what is no price or line is none.
 */

/** The last second that a date can have. */
const LATEST = 8.64e12;

const find = (selector) => document.querySelector(selector);

/** `{pair: {price, change}}` as rows; those that have just moved flash. */
export function showPrices(state, changed) {
  const body = find("#prices tbody");
  const names = Object.keys(state).filter((name) => Number.isFinite(state[name]?.change));
  body.replaceChildren(...names.sort().map((name) => row(name, state[name], name in Object(changed))));
}

function row(name, { price, change }, isNew) {
  const made = document.createElement("tr");
  const pair = Object.assign(document.createElement("th"), { scope: "row", textContent: name });
  const share = `${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(2)} %`;
  made.append(pair, cell(typeof price === "number" ? price.toFixed(price < 10 ? 4 : 2) : String(price)), cell(share));
  made.dataset.trend = change < 0 ? "down" : "up";
  if (isNew) made.className = "new";
  return made;
}

function cell(text) {
  return Object.assign(document.createElement("td"), { textContent: text });
}

/** `{slot: {at, level, text}}` as lines, the newest last. */
export function showLog(state) {
  const lines = Object.values(state).filter((each) => LATEST >= each?.at && each.at >= 0).sort((a, b) => a.at - b.at);
  find("#log ol").replaceChildren(...lines.map(line));
}

function line({ at, level, text }) {
  const made = document.createElement("li");
  const when = new Date(at * 1000);
  const time = Object.assign(document.createElement("time"), {
    dateTime: when.toISOString(),
    textContent: when.toLocaleTimeString([], { hour12: false }),
  });
  made.append(time, ` ${text}`);
  made.dataset.level = level;
  return made;
}

/** `{load, requests}` as a needle and numbers. */
export function showLoad({ load = 0, requests = 0 }) {
  find("#load .value").style.strokeDasharray = `${load * 100} 100`;
  find("#load svg").dataset.level = load > 0.8 ? "high" : "normal";
  find("#share").value = `${Math.round(load * 100)} %`;
  find("#requests").value = requests.toLocaleString();
  find("#meter").value = load;
}
