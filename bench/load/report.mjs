// Results of arrivals.mjs as Markdown: node report.mjs FILE.json...
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const known = (value) => value !== null && value !== undefined;
const ms = (value) => known(value) ? value.toFixed(0) : '-';
const perSecond = (value) => value.toFixed(2);
const share = (value) => known(value) ? `${(100 * value).toFixed(0)} %` : '-';
const three = ({ p50, p95, p99 }) => [p50, p95, p99].map(ms).join(' / ');

function table(title, head, rows) {
  if (rows.length === 0) return '';
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [title, '', line(head), line(head.map(() => '---')), ...rows.map(line), ''].join('\n');
}

/** Cells of all results with their result, by kind of arrival, then load, then system. */
function cellsOf(results) {
  const [{ cells: order }] = results;
  const all = results.flatMap((result) => result.cells.map((cell) => ({ result, cell })));
  const rank = ({ cell }) => order.findIndex(
      ({ kind, percent }) => kind === cell.kind && percent === cell.percent);
  return all.sort((a, b) => rank(a) - rank(b));
}

const named = ({ result, cell }) => [cell.kind, `${cell.percent} %`, result.system];

function systems(results) {
  return table('Systems, each alone and in a closed loop',
    ['system', 'capacity, requests/s', 'first token alone, p50 ms', 'whole request alone, p50 ms',
     'peak MiB', 'load average before'],
    results.map((result) => [
      result.system, perSecond(result.ownCapacity.perSecond),
      result.classes.map((name) => `${name} ${ms(result.idle[name].ttftMs.p50)}`).join(', '),
      result.classes.map((name) => `${name} ${ms(result.idle[name].totalMs.p50)}`).join(', '),
      ms(result.ownCapacity.usage && result.ownCapacity.usage.peakBytes / 2 ** 20),
      result.loadAverage.join(' ')]));
}

/** Throughput, then latency, then errors: one row for each load. */
function degradation(results) {
  const [{ classes }] = results;
  return table(`Order of degradation; three figures: ${classes.join(' / ')}`,
    ['arrivals', 'load', 'system', 'offered/s', 'served/s', 'within objectives', 'total p99 ms',
     'against alone', 'refused', 'failed'],
    cellsOf(results).map(({ result, cell }) => {
      const each = (show) => classes.map((name) => show(cell.classes[name], name)).join(' / ');
      const times = (one, name) => one.totalMs.p99 === null ? '-'
        : `${(one.totalMs.p99 / result.idle[name].totalMs.p99).toFixed(1)}x`;
      return [...named({ result, cell }), perSecond(cell.all.offeredPerSecond),
              perSecond(cell.all.servedPerSecond), each((one) => share(one.attainment)),
              each((one) => ms(one.totalMs.p99)), each(times), each((one) => one.refused),
              each((one) => one.failed)];
    }));
}

function latencies(results) {
  return table('Latencies from the scheduled arrival, ms: p50 / p95 / p99',
    ['arrivals', 'load', 'system', 'class', 'arrived', 'completed', 'first token', 'total',
     'per token'],
    cellsOf(results).flatMap(({ result, cell }) => result.classes.map((name) => {
      const one = cell.classes[name];
      return [...named({ result, cell }), name, one.arrivals, one.completed, three(one.ttftMs),
              three(one.totalMs), three(one.tokenMs)];
    })));
}

function machine(results) {
  return table('The machine while requests arrived: share of its processors',
    ['arrivals', 'load', 'system', 'servers', 'client', 'others', 'peak MiB',
     'sent late, p99 ms', 'load average before'],
    cellsOf(results).filter(({ cell }) => cell.usage).map(({ result, cell }) => [
      ...named({ result, cell }), share(cell.usage.servers), share(cell.usage.client),
      share(cell.usage.others), ms(cell.usage.peakBytes / 2 ** 20),
      ms(cell.sentLateMsP99), cell.loadAverage.join(' ')]));
}

/** As a server says that splits the time of its answers. */
function split(results) {
  return table('Where the time of completed requests went, mean ms, their calls together',
    ['arrivals', 'load', 'system', 'class', 'queue', 'weights', 'prefill', 'decode', 'transport'],
    cellsOf(results).flatMap(({ result, cell }) => result.classes
        .filter((name) => cell.classes[name].timings)
        .map((name) => {
          const times = cell.classes[name].timings;
          return [...named({ result, cell }), name, ms(times.queue_ms), ms(times.swap_ms),
                  ms(times.prefill_ms), ms(times.decode_ms), ms(times.transport_ms)];
        })));
}

/** What a server counts of preemption and paging. */
function counted(results) {
  return table('What the server counted',
    ['arrivals', 'load', 'system', 'batches', 'decode steps a batch', 'processes suspended',
     'passes suspended', 'turns', 'weights moved, MiB'],
    cellsOf(results).filter(({ cell }) => cell.counters).map(({ result, cell }) => {
      const { counters } = cell;
      return [...named({ result, cell }), counters.batches,
              perSecond(counters.decodedTokens / Math.max(1, counters.batches)),
              counters.suspensions, counters.passesSuspended, counters.memoryTurns,
              ms(counters.pagedBytes / 2 ** 20)];
    }));
}

function heading(results) {
  const [first] = results;
  const thresholds = first.classes.map((name) => {
    const { ttftMs, totalMs } = first.slo[name];
    return `${name} first token ${ms(ttftMs)}, total ${ms(totalMs)}`;
  });
  return `100 % is ${perSecond(first.capacityPerSecond)} requests/s. ` +
      `Objectives, ms: ${thresholds.join('; ')}. Seed ${first.seed}.\n`;
}

/** Tables of the results of some systems, of which the first gave capacity and objectives. */
export function markdown(results) {
  return [heading, systems, degradation, latencies, machine, split, counted]
      .map((part) => part(results)).filter(Boolean).join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv.length < 3) {
    console.error('usage: node report.mjs FILE.json...');
    process.exit(2);
  }
  const results = process.argv.slice(2).map((path) => JSON.parse(readFileSync(path, 'utf8')));
  console.log(markdown(results));
}
