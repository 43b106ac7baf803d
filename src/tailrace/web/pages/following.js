/**
 * Keeps the newest text in view, and yields to a reader who scrolls up until they come back to the end.
 */

const NEAR = 24; // pixels from the end that still count as being there

export class Following {
  #scroller;
  #onChange;
  #isOn = true;
  #top = 0;

  /** `scroller` scrolls `content`; `onChange` is told, true or false, whether the end is being followed. */
  constructor(scroller, content, onChange) {
    this.#scroller = scroller;
    this.#onChange = onChange;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // Also for what grows without new text: a keyboard that opens, a fold, a window that narrows.
    const growth = new ResizeObserver(() => this.#keepUp());
    growth.observe(content);
    growth.observe(scroller);
  }

  /** Go to the end, and follow it. */
  resume() {
    this.#set(true);
    this.#keepUp();
  }

  #keepUp() {
    if (this.#isOn) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    // The end first: where the content shrinks, the browser scrolls up, and that is not the reader.
    if (scrollHeight - clientHeight - scrollTop <= 1) this.#set(true);
    else if (scrollTop < this.#top) this.#set(false);
    else if (scrollHeight - clientHeight - scrollTop < NEAR) this.#set(true);
    this.#top = scrollTop;
  }

  #set(isOn) {
    if (isOn === this.#isOn) return;
    this.#isOn = isOn;
    this.#onChange(isOn);
  }
}
