/**
 * What the events of a run come to: its text, its thinking, how it ended, and the cursor that says how far it was
 * read. An answer is plain data, so that it can be kept over a reload together with its cursor.
 */

/** States in which nothing more will come. */
const OVER = new Set(["done", "stopped", "failed", "gone"]);

/** Error types that are somebody's wish, not a failure. */
const STOPS = new Set(["caller_cancelled", "caller_gone"]);

/**
 * An answer of which nothing has come. `key` is the idempotency key of its question: whatever is repeated under it,
 * the server starts one run.
 */
export function unanswered(key) {
  return { key, state: "asking", run: null, cursor: "", missed: 0, ...nothingSaid(), refusal: null };
}

function nothingSaid() {
  return { text: "", thinking: "", tools: [], finish: null, error: null };
}

/** Whether nothing more will come. */
export function isOver(answer) {
  return OVER.has(answer.state);
}

/** How a run that said all it had to say has ended. */
export function ending(answer) {
  if (answer.error === null) return "done";
  return STOPS.has(answer.error.type) ? "stopped" : "failed";
}

const TAKERS = new Map([
  ["message", (answer, { text }) => { answer.text += text; }],
  ["thinking", (answer, { text }) => { answer.thinking += text; }],
  ["tool", takeTool],
  // What was said so far is void: another model begins anew.
  ["restart", (answer) => Object.assign(answer, nothingSaid())],
  ["finish", (answer, finish) => Object.assign(answer, { finish })],
  ["error", (answer, { error }) => Object.assign(answer, { error })],
  ["resume", takeVerdict],
]);

/**
 * Take the next event of the run; events that are unknown, or were taken already, change nothing.
 *
 * @param {object} event as the client has it
 * @param {string} id where in the run it stands
 */
export function take(answer, event, id) {
  // A verdict on the cursor sets the position, back too: it is never one that was seen already.
  if (event.type !== "resume" && isSeen(answer.cursor, id)) return;
  TAKERS.get(event.type)?.(answer, event);
  answer.cursor = id || answer.cursor;
}

function takeTool(answer, { index, name, arguments: fragment }) {
  const call = (answer.tools[index] ??= { name: "", arguments: "" });
  call.name ||= name;
  call.arguments += fragment ?? "";
}

function takeVerdict(answer, { recovered, reason, missed }) {
  if (recovered) return;
  if (reason === "trimmed") answer.missed += missed ?? 1;
  // The server did not know the cursor, and begins from the start.
  else Object.assign(answer, nothingSaid(), { cursor: "" });
}

/** An id is `<epoch>-<offset>`; within an epoch the offsets rise. */
function isSeen(cursor, id) {
  if (!cursor || !id) return false;
  const [before, now] = [position(cursor), position(id)];
  return now.epoch === before.epoch && now.offset <= before.offset;
}

function position(id) {
  const dash = id.lastIndexOf("-");
  return { epoch: id.slice(0, dash), offset: Number(id.slice(dash + 1)) };
}
