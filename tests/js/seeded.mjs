/** Reproducible chance: a generator of numbers (mulberry32) and what tests make of them. */

export const SEED = Number(process.env.TAILRACE_SEED ?? Date.now() % 1e6);

export function seeded(seed) {
  const random = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = (bound) => Math.floor(random() * bound);
  return { random, below, pick: (list) => list[below(list.length)] };
}
