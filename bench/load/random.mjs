// Random numbers that a seed repeats.

/** Draws from one stream of mulberry32, a small generator; the same seed gives the same stream. */
export class Random {
  #state;

  /** @param seed an integer; its low 32 bits count */
  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** A number in [0, 1). */
  uniform() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** An integer in [0, n). */
  below(n) {
    return Math.floor(this.uniform() * n);
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  /** One of `list`, each as likely as its `weight` says. */
  pickWeighted(list) {
    let left = this.uniform() * list.reduce((sum, one) => sum + one.weight, 0);
    for (const one of list) {
      left -= one.weight;
      if (left < 0) return one;
    }
    return list.at(-1);
  }

  exponential(mean) {
    return -mean * Math.log(1 - this.uniform());
  }

  /** Mean 0, variance 1, by Box and Muller. */
  normal() {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** An integer from 1 to `max`, log-normal around `median`; its log has the deviation `sigma`. */
  length({ median, sigma, max }) {
    const drawn = Math.round(median * Math.exp(sigma * this.normal()));
    return Math.min(max, Math.max(1, drawn));
  }
}
