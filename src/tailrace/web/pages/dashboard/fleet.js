/**
 * What all instances have said, added up. Nothing here knows how it is shown.
 *
 * An instance is one start of one process. One that has not reported for a few seconds counts for nothing any more, and
 * is listed as silent until it is plain that it is gone.
 */

const SILENT_AFTER = 3500;
const GONE_AFTER = 60_000;
const LEFT_AFTER = 10_000;
const MOST_STREAMS = 100;

/** The value below which the share `q` of what was counted lies, as far as `bounds` tell it; null for nothing. */
export function quantile(bounds, counts, q) {
  const total = counts.reduce((sum, each) => sum + each, 0);
  if (!total) return null;
  let left = q * total;
  for (const [index, each] of counts.entries()) {
    if (each && left <= each) {
      const low = index ? bounds[index - 1] : 0;
      const high = bounds[index] ?? low;
      return low + ((high - low) * left) / each;
    }
    left -= each;
  }
  return bounds.at(-1);
}

const added = (values) => {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length ? known.reduce((sum, each) => sum + each, 0) : null;
};

export class Fleet {
  #bounds = [];
  #instances = new Map();

  /** Begin anew with the bounds of the durations that are told. */
  begin(bounds) {
    this.#bounds = bounds;
  }

  /** Take a report that came at `now`, in milliseconds of the page's own clock. */
  take(report, now) {
    const known = this.#instances.get(report.id);
    if (!known || known.report.at <= report.at) this.#instances.set(report.id, { report, heard: now });
  }

  #live(now) {
    return [...this.#instances.values()].filter(({ heard }) => now - heard < SILENT_AFTER).map(({ report }) => report);
  }

  /** Everything added up; null where nobody reports. */
  total(now) {
    const live = this.#live(now);
    if (!live.length) return null;
    const sum = (name) => added(live.map((each) => each[name]));
    const rate = (name) => added(live.map((each) => each.rates[name]));
    const among = (name) => {
      const counts = this.#bounds.map((_, index) => added(live.map((each) => each.spreads[name][index])) ?? 0);
      counts.push(added(live.map((each) => each.spreads[name][this.#bounds.length])) ?? 0);
      return { p50: quantile(this.#bounds, counts, 0.5), p95: quantile(this.#bounds, counts, 0.95) };
    };
    return {
      instances: live.length,
      status: this.#status(live),
      streams: sum("streams"),
      runs: sum("runs"),
      slow: sum("slow"),
      pending: sum("pending"),
      waiting: sum("waiting"),
      memory: sum("memory"),
      tokens: rate("tokens"),
      requests: rate("requests"),
      failed: rate("failed"),
      cpu: rate("cpu"),
      firstToken: among("first_token"),
      lag: among("lag"),
      latency: among("store"),
      stores: [...new Set(live.map(({ store }) => store.kind))].sort().join(", "),
      // By each server's own clock.
      away: Math.max(...live.map(({ at, store }) => (store.failing_since === null ? 0 : at - store.failing_since))),
    };
  }

  #status(live) {
    const staying = live.map(({ status }) => status).filter((status) => status !== "draining");
    if (!staying.length) return "draining";
    return staying.includes("degraded") ? "degraded" : "healthy";
  }

  /** Each instance that is there, was until lately, or that others know of. */
  instances(now) {
    for (const [id, { report, heard }] of this.#instances) {
      const patience = report.status === "draining" ? LEFT_AFTER : GONE_AFTER;
      if (now - heard > patience) this.#instances.delete(id);
    }
    const listed = [...this.#instances.values()].map(({ report, heard }) => ({
      ...report,
      silent: now - heard < SILENT_AFTER ? null : (now - heard) / 1000,
    }));
    const others = new Set(this.#live(now).flatMap((each) => each.others));
    const unheard = [...others].filter((id) => !this.#instances.has(id)).map((id) => ({ id, unheard: true }));
    const named = (each) => `${each.host ?? "~"} ${String(each.pid ?? "").padStart(9, "0")}`;
    return [...listed, ...unheard].sort((one, two) => named(one).localeCompare(named(two)));
  }

  /** The open streams that are worst off, the worst first; and how many there are in all. */
  streams(now) {
    const live = this.#live(now);
    const rows = live.flatMap(({ id, at, open }) => open.map((row) => ({ ...row, instance: id, age: at - row.opened })));
    rows.sort((one, two) => two.records - one.records || two.seconds - one.seconds || one.opened - two.opened);
    return { rows: rows.slice(0, MOST_STREAMS), total: added(live.map(({ streams }) => streams)) ?? 0 };
  }
}
