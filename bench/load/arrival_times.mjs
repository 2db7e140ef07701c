// When requests arrive, drawn ahead: users do not wait for each other's answers.

/** A burst has `ratio` times the mean rate and `share` of the time; between bursts the rate is what
 *  keeps the mean. `burstSeconds` is how long a burst lasts on average. */
const bursts = { ratio: 3, share: 0.25, burstSeconds: 1.5 };

/** Poisson: one piece of constant rate. */
const steady = (seconds) => [{ begin: 0, end: seconds, rate: 1 }];

/** Pieces of constant rate of a two-state Markov chain, which begins in its stationary state. */
function bursty(seconds, random) {
  const { ratio, share, burstSeconds } = bursts;
  const calmSeconds = burstSeconds * (1 - share) / share;
  const calmRate = (1 - ratio * share) / (1 - share);
  const pieces = [];
  let on = random.uniform() < share;
  for (let begin = 0; begin < seconds; on = !on) {
    const end = Math.min(seconds, begin + random.exponential(on ? burstSeconds : calmSeconds));
    pieces.push({ begin, end, rate: on ? ratio : calmRate });
    begin = end;
  }
  return pieces;
}

/** The time at which the integral of the rate over the pieces reaches `mass`. */
function timeAt(pieces, mass) {
  for (const { begin, end, rate } of pieces) {
    const inside = (end - begin) * rate;
    if (mass <= inside) return begin + mass / rate;
    mass -= inside;
  }
  return pieces.at(-1).end;
}

export const arrivalKinds = ['poisson', 'bursty'];

/**
 * Sorted times of arrival in seconds, in [0, seconds]: a Poisson process, or a Markov-modulated one
 * ('bursty'). Their number is rate * seconds, rounded: given its number, a Poisson process is so
 * many independent points with the density of its rate, and a short run offers the load it says.
 * @param rate mean arrivals in a second
 */
export function arrivalTimes(kind, { rate, seconds }, random) {
  const pieces = kind === 'bursty' ? bursty(seconds, random) : steady(seconds);
  const mass = pieces.reduce((sum, { begin, end, rate: r }) => sum + (end - begin) * r, 0);
  const count = Math.round(rate * seconds);
  const times = Array.from({ length: count }, () => timeAt(pieces, random.uniform() * mass));
  return times.sort((a, b) => a - b);
}

/** Variance over mean of the arrivals in windows of `window` seconds: about 1 for Poisson, more
 *  where arrivals come in bursts, 0 for a clock. */
export function dispersion(times, seconds, window) {
  const counts = new Array(Math.floor(seconds / window)).fill(0);
  for (const time of times) {
    const index = Math.floor(time / window);
    if (index < counts.length) ++counts[index];
  }
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const squares = counts.reduce((sum, count) => sum + (count - mean) ** 2, 0);
  return mean > 0 ? squares / counts.length / mean : 0;
}
