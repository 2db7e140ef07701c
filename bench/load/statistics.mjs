// Numbers about records of requests (chain.mjs).

/** The least value that `share` of the values do not exceed (nearest rank); null of none. */
export function percentile(values, share) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

export function mean(values) {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}

function percentiles(values) {
  return { p50: percentile(values, 0.5), p95: percentile(values, 0.95),
           p99: percentile(values, 0.99) };
}

/** Completed within both thresholds, {ttftMs, totalMs}; null: any time will do. */
export function meets(record, slo) {
  return record.outcome === 'completed' && record.ttftMs <= (slo.ttftMs ?? Infinity) &&
      record.totalMs <= (slo.totalMs ?? Infinity);
}

function meanTimings(completed) {
  const split = completed.filter(({ timings }) => timings).map(({ timings }) => timings);
  if (split.length === 0) return null;
  return Object.fromEntries(Object.keys(split[0]).map(
      (part) => [part, mean(split.map((timings) => timings[part]))]));
}

/** How often each reason occurs, as {reason: times}. */
function reasonsOf(failed) {
  const reasons = {};
  for (const { reason } of failed) reasons[reason] = (reasons[reason] ?? 0) + 1;
  return reasons;
}

/**
 * What became of requests that came within `seconds`: counts that add up, rates in a second
 * (served: completed inside that time), percentiles in ms of what completed, the mean of its times
 * as the server splits them, and the share of all that met `slo`, the thresholds of each class.
 */
export function summarise(records, { seconds, slo }) {
  const of = (outcome) => records.filter((record) => record.outcome === outcome);
  const completed = of('completed'), refused = of('refused'), failed = of('failed');
  const inTime = completed.filter(({ at, endMs }) => at + endMs / 1000 <= seconds);
  return {
    arrivals: records.length, completed: completed.length, refused: refused.length,
    failed: failed.length, reasons: reasonsOf(failed),
    offeredPerSecond: records.length / seconds, servedPerSecond: inTime.length / seconds,
    ttftMs: percentiles(completed.map(({ ttftMs }) => ttftMs)),
    totalMs: percentiles(completed.map(({ totalMs }) => totalMs)),
    tokenMs: percentiles(completed.map(({ tokenMs }) => tokenMs).filter((ms) => ms !== null)),
    attainment: slo && records.length
      ? mean(records.map((record) => meets(record, slo[record.class]) ? 1 : 0)) : null,
    timings: meanTimings(completed),
  };
}

/** `summarise` of each class, in the order of `classes`. */
export function summariseByClass(records, classes, options) {
  return Object.fromEntries(classes.map(
      (name) => [name, summarise(records.filter((record) => record.class === name), options)]));
}

/** Thresholds of each class: `factor` times the median of its requests that were alone. */
export function sloFromIdle(idle, factor) {
  return Object.fromEntries(Object.entries(idle).map(([name, summary]) => [
    name, { ttftMs: factor * summary.ttftMs.p50, totalMs: factor * summary.totalMs.p50 }]));
}
