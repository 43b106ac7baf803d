/** What the server says about continuity: `resume` after a cursor, `gap` where something was lost on the way. */

export interface Verdict {
  /** Whether nothing is missing. */
  readonly recovered: boolean;
  /** The server's word: `ok`, `trimmed`, `unknown`, `ahead` or `malformed`. */
  readonly reason: string;
  /** How many events are missing; null where nobody can tell. */
  readonly missed: number | null;
  /** Of several channels on one connection: each one's own verdict. */
  readonly channels?: Readonly<Record<string, Verdict>>;
  /** Of several channels on one connection: the one that lost something while connected. */
  readonly channel?: string;
}

/** Read the data of a `resume` or `gap` event; undefined where it is somebody else's event of that name. */
export function readVerdict(data: string): Verdict | undefined {
  const told = object(data);
  if (!("recovered" in told || "missed" in told)) return undefined;
  const { recovered = false, reason = "", missed = null } = told;
  const lost = Object.values((told["channels"] ?? {}) as Record<string, Verdict>).filter((each) => !each.recovered);
  if (!lost.length) return { ...told, recovered, reason: reason || "ok", missed } as Verdict;
  const reasons = [...new Set(lost.map((each) => each.reason))].join(", ");
  // One that cannot be told makes the sum one that cannot be told.
  const counts = lost.map((each) => each.missed ?? NaN);
  const sum = counts.reduce((all, each) => all + each);
  return { ...told, recovered, reason: reasons, missed: sum >= 0 ? sum : null } as Verdict;
}

/** The object that `data` is in JSON; an empty one where it is none. */
export function object(data: string): Record<string, unknown> {
  try {
    const told: unknown = JSON.parse(data);
    return typeof told === "object" && told !== null ? (told as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
