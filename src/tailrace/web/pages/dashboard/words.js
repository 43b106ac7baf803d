/** Figures and reasons in words, and how text gets onto the page: as text, whatever it contains. */

const whole = new Intl.NumberFormat("en");
const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** What is not known. */
export const UNKNOWN = "–";

/** Have `element` say `text`; what says it already is left alone, and with it what is selected. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Make an element with `text` in it. */
export function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** A number of things. */
export function count(value) {
  if (value === null || value === undefined) return UNKNOWN;
  return whole.format(value >= 100 || Number.isInteger(value) ? Math.round(value) : Number(value.toPrecision(2)));
}

/** A number of bytes. */
export function bytes(value) {
  if (value === null || value === undefined) return UNKNOWN;
  const power = value < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(value) / 3));
  const scaled = value / 1000 ** power;
  return `${scaled >= 100 || power === 0 ? Math.round(scaled) : scaled.toPrecision(2)} ${UNITS[power]}`;
}

/** A short time, from microseconds up. */
export function brief(seconds) {
  if (seconds === null || seconds === undefined) return UNKNOWN;
  if (seconds >= 1) return `${seconds.toPrecision(2)} s`;
  const milliseconds = seconds * 1000;
  return `${milliseconds >= 10 ? Math.round(milliseconds) : Number(milliseconds.toPrecision(2))} ms`;
}

/** A long time, in its two largest units. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return UNKNOWN;
  const all = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [Math.floor(all / 86400), Math.floor(all / 3600) % 24, Math.floor(all / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${all % 60} s` : `${all} s`;
}

const REASONS = {
  socket: (seconds) => `the reader takes nothing, for ${span(seconds)}`,
  history: () => "it reads history from the store",
  behind: () => "it is being written to",
  ahead: (seconds) => `the provider is kept waiting for this reader, for ${span(seconds)}`,
  place: (seconds) => `it waits for a place at the provider, for ${span(seconds)}`,
  first: (seconds) => `the provider has said nothing yet, for ${span(seconds)}`,
  upstream: (seconds) => `the provider says nothing, for ${span(seconds)}`,
  unwatched: () => "nobody reads it on this instance",
};

/** Why a stream is where it is. */
export function reason(why, seconds) {
  return REASONS[why]?.(seconds) ?? "";
}

/** Those reasons that somebody may have to do something about. */
export function isTrouble(why, seconds) {
  return why === "socket" || why === "ahead" || why === "place" || (["first", "upstream"].includes(why) && seconds > 10);
}
