/** What our own pages import, in one file. */

export * from "./index.ts";
export { tabs } from "./tabs.ts";
