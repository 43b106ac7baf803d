/**
 * The chat page: puts a conversation, the stream of its newest answer and the views of both together.
 */

import { isOver } from "./answer.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Following } from "./following.js";
import { StatusLine } from "./status.js";
import { AnswerStream } from "./stream.js";
import { TurnView } from "./turn.js";

const CHAT = new URL("api/chat", document.baseURI);
const API_KEY = "tailrace.key";
const SAVE_EVERY = 1000; // milliseconds

const at = (id) => document.getElementById(id);

const storage = openStorage();
const conversation = new Conversation(storage);
const composer = new Composer(at("composer"), { ask, stop: () => stream?.stop() });
const status = new StatusLine(at("status"), { askAgain, hurry: () => stream?.hurry() });
const following = new Following(at("scroller"), at("turns"), (isOn) => { at("newest").hidden = isOn; });

/** The newest turn's; older ones change no more. */
let view = null;
let stream = null;
let frame = 0;
let isSaved = true;
let apiKey = storage?.getItem(API_KEY) ?? "";

function openStorage() {
  try {
    return window.sessionStorage;
  } catch {
    return null; // forbidden by the reader: then nothing is kept, and everything else works
  }
}

function ask(question, thinks) {
  conversation.ask(question, thinks);
  addTurn(conversation.last);
  follow();
}

function askAgain() {
  conversation.askAgain();
  view.element.remove();
  addTurn(conversation.last);
  follow();
}

function addTurn(turn) {
  view = new TurnView(turn, at("turn"));
  at("turns").append(view.element);
  at("welcome").hidden = true;
  view.show();
}

/** Follow the newest answer to its end. */
function follow() {
  stream = new AnswerStream(conversation.last.answer, {
    url: CHAT,
    headers: credentials,
    body: () => JSON.stringify(conversation.body()),
    onChange: changed,
  });
  following.resume();
  composer.focus();
  stream.follow();
}

function credentials() {
  return apiKey ? { Authorization: `Bearer ${apiKey}` } : {};
}

/** However much comes at once, it is shown once for each frame that the screen shows. */
function changed() {
  isSaved = false;
  frame ||= requestAnimationFrame(show);
}

function show() {
  frame = 0;
  const answer = conversation.last?.answer ?? null;
  composer.isAnswering = answer !== null && !isOver(answer) && answer.state !== "locked";
  status.show(answer, stream?.waiting ?? null);
  showLock(answer?.state === "locked");
  const settled = view?.show() ?? [];
  if (stream) readOut(settled); // not what was there before a reload
  if (answer && isOver(answer)) save();
}

function showLock(isLocked) {
  const form = at("unlock");
  const isNews = form.hidden && isLocked;
  form.hidden = !isLocked;
  if (isNews) form.elements.key.focus();
}

/** To a screen reader, whole paragraphs: it would read half a word out, and the rest again with the next piece. */
function readOut(elements) {
  const text = elements.map((element) => element.textContent).join("\n").trim();
  if (text === "") return;
  if (document.ariaNotify) document.ariaNotify(text);
  else at("reader").textContent = text; // browsers from before 2026
}

function save() {
  if (isSaved) return;
  conversation.save();
  isSaved = true;
}

function startAnew() {
  stream?.stop();
  stream?.leave();
  stream = view = null;
  conversation.clear();
  at("turns").replaceChildren();
  at("reader").textContent = "";
  at("welcome").hidden = false;
  show();
  composer.focus();
}

function unlock(event) {
  event.preventDefault();
  const { key } = at("unlock").elements;
  apiKey = key.value.trim();
  storage?.setItem(API_KEY, apiKey);
  key.value = "";
  follow();
}

at("anew").addEventListener("click", startAnew);
at("newest").addEventListener("click", () => following.resume());
at("unlock").addEventListener("submit", unlock);
for (const each of document.querySelectorAll("#welcome button")) {
  each.addEventListener("click", () => ask(each.textContent, at("composer").elements.thinks.checked));
}

// A tab may be closed without a word, so keep what there is now and then, and what is left when there is one.
setInterval(save, SAVE_EVERY);
window.addEventListener("pagehide", save);

conversation.turns.forEach(addTurn);
show();
if (conversation.last && !isOver(conversation.last.answer)) follow();
