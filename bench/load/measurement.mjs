// What is measured of one system: requests that are alone, its capacity, a load.
import { setTimeout as sleep } from 'node:timers/promises';

import { arrivalTimes, dispersion } from './arrival_times.mjs';
import { runChain } from './chain.mjs';
import { closedLoop, oneByOne } from './closed_loop.mjs';
import { openLoop } from './open_loop.mjs';
import { loadAverage, watch } from './process_usage.mjs';
import { Random } from './random.mjs';
import { countersBetween, readCounters } from './server_counters.mjs';
import { percentile, summarise, summariseByClass } from './statistics.mjs';
import { drawOfEachClass, drawRequests } from './workload.mjs';

const classesOf = (workload) => workload.classes.map(({ name }) => name);

/** The function that sends a request due at `originMs` and gives its record. */
function sender({ urlOf, pipeline, banned, deadline }) {
  return (request, originMs) => runChain(
      request, { urlOf, pipeline, banned }, { originMs, deadlineMs: deadline * 1000 });
}

/** The seed of a part of the run: its parts share no draws, and every system gets the same. */
const seedOf = (seed, part) => seed * 1000 + part;

/** `options.idle` requests of each class, each alone, after a warm-up: a summary by class. */
export async function measureAlone(workload, options) {
  const send = sender(options);
  const random = new Random(seedOf(options.seed, 1));
  await oneByOne(drawOfEachClass(workload, 1, random), send);
  const beginMs = performance.now();
  const records = await oneByOne(drawOfEachClass(workload, options.idle, random), send);
  const wrong = records.find(({ outcome }) => outcome !== 'completed');
  if (wrong) {
    throw new Error(`a request alone: ${wrong.outcome} by ${wrong.failedAt}: ` +
                    `${wrong.reason ?? `status ${wrong.status}`}`);
  }
  return summariseByClass(records, classesOf(workload),
                          { seconds: (performance.now() - beginMs) / 1000 });
}

/** Requests of the workload's mix that a closed loop completes: {perSecond, usage, all}. */
export async function measureCapacity(workload, options) {
  const random = new Random(seedOf(options.seed, 2));
  const next = () => drawRequests(workload, [0], random)[0];
  const ended = watch(options.pids);
  const { perSecond, records } = await closedLoop(
      next, sender(options), { users: options.users, seconds: options.capacitySeconds });
  const usage = ended();
  const all = summarise(records, { seconds: options.capacitySeconds });
  if (perSecond === 0) throw new Error('no request was completed while measuring the capacity');
  return { perSecond, usage, all };
}

/** What the processes use in the next `seconds`, while requests arrive and not in the drain. */
async function usageFor(seconds, pids) {
  const ended = watch(pids);
  await sleep(seconds * 1000);
  return ended();
}

/** One load, {kind, percent, rate, slo}, for `options.seconds` and until its last request ends. */
export async function measureCell({ kind, percent, rate, slo }, workload, options) {
  const { seconds } = options;
  const random = new Random(seedOf(options.seed, 3));
  const times = arrivalTimes(kind, { rate, seconds }, random);
  const requests = drawRequests(workload, times, random);
  const url = options.urlOf(options.models[0]);
  const before = await readCounters(url);
  const average = loadAverage();
  const [records, usage] = await Promise.all(
      [openLoop(requests, sender(options)), usageFor(seconds, options.pids)]);
  return {
    kind, percent, rate, seconds, dispersion: dispersion(times, seconds, 1),
    loadAverage: average, usage,
    counters: countersBetween(before, await readCounters(url)),
    sentLateMsP99: percentile(records.map(({ sentLateMs }) => sentLateMs), 0.99),
    all: summarise(records, { seconds, slo }),
    classes: summariseByClass(records, classesOf(workload), { seconds, slo }),
    records,
  };
}
