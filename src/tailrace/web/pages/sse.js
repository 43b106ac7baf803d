/**
 * A byte stream, in whatever pieces it arrives, as events: the HTML standard's parser, incrementally.
 *
 * Follows https://html.spec.whatwg.org/multipage/server-sent-events.html, sections 9.2.5 and 9.2.6. Connecting,
 * reconnecting and understanding the data are left to the caller.
 */

const LINE_END = /\r\n|\n|\r/;
const MILLISECONDS = /^[0-9]{1,15}$/; // more digits than that, a number cannot hold exactly

/**
 * One event. `id` is the one that its own block carried, null where it carried none; `lastEventId` is the cursor
 * after it, which outlives blocks without an id.
 *
 * @typedef {{type: string, data: string, id: string | null, lastEventId: string}} StreamEvent
 */

export class EventParser {
  /** Milliseconds that the server wants its clients to wait before they come back; null until it says so. */
  retry = null;

  // "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM), if any": TextDecoder does.
  #decoder = new TextDecoder();
  #unfinished = "";
  #afterCR = false;
  #data = [];
  #type = "";
  #id = null;
  #lastEventId = "";

  /**
   * Take the next bytes of the body; return the events that they complete. The end of a body needs no call: an
   * event without its blank line is not an event.
   *
   * @param {Uint8Array} bytes
   * @returns {StreamEvent[]}
   */
  receive(bytes) {
    const events = [];
    const lines = this.#text(bytes).split(LINE_END);
    lines[0] = this.#unfinished + lines[0];
    this.#unfinished = lines.pop();
    for (const line of lines) {
      if (line === "") this.#dispatch(events);
      else this.#field(line);
    }
    return events;
  }

  #text(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === "") return text;
    // A CR ends its line at once, since waiting for an LF would hold the event back; so an LF that opens the next
    // chunk ends nothing.
    if (this.#afterCR && text.startsWith("\n")) text = text.slice(1);
    this.#afterCR = text.endsWith("\r");
    return text;
  }

  #field(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment, such as a heartbeat
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && MILLISECONDS.test(value)) this.retry = Number(value);
  }

  #dispatch(events) {
    // Before the look at the data: a block without data moves the cursor too.
    this.#lastEventId = this.#id ?? this.#lastEventId;
    if (this.#data.length > 0) {
      const [type, data] = [this.#type || "message", this.#data.join("\n")];
      events.push({ type, data, id: this.#id, lastEventId: this.#lastEventId });
      this.#data = [];
    }
    this.#type = "";
    this.#id = null;
  }
}
