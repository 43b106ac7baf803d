/**
 * The chat page: puts a conversation, the stream of its newest answer and the views of both together.
 */

import { isOver, unanswered } from "./answer.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Following } from "./following.js";
import { ModelChoice } from "./models.js";
import { headers, signIn, signOut, whoami } from "./session.js";
import { linkTo, shared } from "./sharing.js";
import { StatusLine } from "./status.js";
import { AnswerStream } from "./stream.js";
import { TurnView } from "./turn.js";

const CHAT = new URL("api/chat", document.baseURI);
const SAVE_EVERY = 1000; // milliseconds

const at = (id) => document.getElementById(id);

const storage = openStorage();
const conversation = new Conversation(storage);
const watched = shared();
const composer = new Composer(at("composer"), { ask, stop });
const models = new ModelChoice(at("composer").elements.model, storage);
const status = new StatusLine(at("status"), { hurry: () => stream?.hurry(), ...(!watched && { askAgain }) });
const following = new Following(at("scroller"), at("turns"), (isOn) => { at("newest").hidden = isOn; });

/** The newest turn, and what shows and follows it; older ones change no more. */
let turn = null;
let view = null;
let stream = null;
let frame = 0;
let isSaved = true;
let isLocked = false;

function openStorage() {
  try {
    return window.sessionStorage;
  } catch {
    return null; // forbidden by the reader: then nothing is kept, and everything else works
  }
}

function ask(question, wishes) {
  conversation.ask(question, wishes);
  addTurn(conversation.last);
  follow();
}

function stop() {
  if (!watched) stream?.stop();
}

function askAgain() {
  conversation.askAgain();
  view.element.remove();
  addTurn(conversation.last);
  follow();
}

function addTurn(added) {
  turn = added;
  view = new TurnView(turn, at("turn"), share);
  at("turns").append(view.element);
  at("welcome").hidden = true;
  view.show();
}

/** Follow the newest answer to its end. */
function follow(url = CHAT) {
  stream = new AnswerStream(turn.answer, { url, headers, body: () => conversation.body(), onChange: changed });
  following.resume();
  composer.focus();
  stream.follow();
}

/** However much comes at once, it is shown once for each frame that the screen shows. */
function changed() {
  isSaved = false;
  frame ||= requestAnimationFrame(show);
}

function show() {
  frame = 0;
  const answer = turn?.answer ?? null;
  composer.isAnswering = answer !== null && !isOver(answer) && answer.state !== "locked";
  status.show(answer, stream?.waiting ?? null);
  showLock(isLocked || answer?.state === "locked");
  const settled = view?.show() ?? [];
  if (stream) readOut(settled.map((element) => element.textContent).join("\n")); // not what was there before a reload
  if (answer && isOver(answer)) save();
}

function showLock(isShown) {
  const form = at("unlock");
  const isNews = form.hidden && isShown;
  form.hidden = !isShown;
  if (isNews) form.elements.key.focus();
}

/** To a screen reader, whole paragraphs: it would read half a word out, and the rest again with the next piece. */
function readOut(text) {
  if (text.trim() === "") return;
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
  stream = view = turn = null;
  conversation.clear();
  at("turns").replaceChildren();
  at("reader").textContent = "";
  at("welcome").hidden = false;
  show();
  composer.focus();
}

/** Put a link to an answer where it can be taken, and on the clipboard if that is allowed. */
async function share({ answer }, button) {
  try {
    const href = await linkTo(answer.run);
    const link = document.createElement("a");
    Object.assign(link, { href, target: "_blank", textContent: "Link to this answer" });
    button.replaceWith(link);
    link.focus();
    const isCopied = await navigator.clipboard?.writeText(href).then(() => true, () => false);
    readOut(isCopied ? "The link is on the clipboard." : "There is a link now.");
  } catch (error) {
    button.textContent = error.message;
  }
}

// Who this is.

async function enter() {
  isLocked = !(await models.load());
  at("leave").hidden = isLocked || (await whoami()) === "";
  show();
}

async function unlock(event) {
  event.preventDefault();
  const { key } = at("unlock").elements;
  at("refusal").textContent = await signIn(key.value.trim());
  key.value = "";
  if (at("refusal").textContent !== "") return;
  await enter();
  if (turn?.answer.state === "locked") follow();
  else composer.focus();
}

async function leave() {
  await signOut();
  startAnew(); // whoever comes next to this screen is somebody else
  await enter();
}

at("anew").addEventListener("click", startAnew);
at("newest").addEventListener("click", () => following.resume());
at("unlock").addEventListener("submit", unlock);
at("leave").addEventListener("click", leave);
for (const each of document.querySelectorAll("#welcome button")) {
  each.addEventListener("click", () => ask(each.textContent, composer.wishes));
}

/** Show an answer that somebody shares, and nothing of this tab's own. */
function watch({ run, ticket }) {
  composer.hide();
  at("anew").hidden = true;
  at("watched").hidden = false;
  const url = new URL(CHAT);
  if (ticket) url.searchParams.set("ticket", ticket);
  addTurn({ question: "", answer: { ...unanswered(""), run } });
  follow(url);
}

/** Go on with this tab's own conversation. */
function goOn() {
  // A tab may be closed without a word, so keep what there is now and then, and what is left when there is one.
  setInterval(save, SAVE_EVERY);
  window.addEventListener("pagehide", save);
  conversation.turns.forEach(addTurn);
  show();
  if (turn && !isOver(turn.answer)) follow();
  enter();
}

window.addEventListener("hashchange", () => location.reload());
if (watched) watch(watched);
else goOn();
