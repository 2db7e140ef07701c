import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { fakeServer } from './fake_server.mjs';
import { measureAlone, measureCapacity, measureCell } from './measurement.mjs';
import { markdown } from './report.mjs';
import { sloFromIdle } from './statistics.mjs';
import { defaultWorkload, modelsOf } from './workload.mjs';

const classes = defaultWorkload.classes.map(({ name }) => name);

/** Options as arrivals_flags.mjs makes them, for a server at `url`, watched in this process. */
const optionsFor = (url) => ({
  urlOf: () => url, models: modelsOf(defaultWorkload), pipeline: '', pids: [process.pid],
  seconds: 0.3, seed: 1, capacitySeconds: 1, users: 4, idle: 2, deadline: 10,
});

/** Everything that arrivals.mjs measures, of a server that behaves so under load. */
async function measure(behave) {
  let busy = false;
  const server = await fakeServer((body) => busy ? behave(body) : 'answer');
  try {
    const options = optionsFor(server.url);
    const result = { system: 'fake', seed: 1, classes, loadAverage: [0, 0, 0] };
    result.idle = await measureAlone(defaultWorkload, options);
    result.ownCapacity = await measureCapacity(defaultWorkload, options);
    result.capacityPerSecond = 200;
    result.slo = sloFromIdle(result.idle, 1000);
    busy = true;
    const cell = { kind: 'bursty', percent: 50, rate: 100, slo: result.slo };
    result.cells = [await measureCell(cell, defaultWorkload, options)];
    return result;
  } finally {
    await server.close();
  }
}

describe('a measurement', () => {
  it('of a server that refuses the low: nothing is lost, the others meet their objectives',
     async () => {
    const result = await measure(({ priority }) => priority === 'low' ? 'busy' : 'answer');
    const [cell] = result.cells;
    assert.ok(result.ownCapacity.perSecond > 0);
    assert.equal(cell.all.arrivals, 30);
    assert.equal(cell.classes.low.refused, cell.classes.low.arrivals);
    assert.equal(cell.all.refused, cell.classes.low.refused);
    assert.equal(cell.classes.critical.attainment, 1);
    assert.equal(cell.classes.low.attainment, 0);
    assert.equal(cell.counters, null, 'not a server that counts');
    assert.ok(cell.usage.servers >= 0 && cell.usage.peakBytes > 0);

    const text = markdown([result]);
    for (const name of classes) assert.ok(text.includes(`| 50 % | fake | ${name} |`), name);
    assert.match(text, /100 % is 200\.00 requests\/s/);
    assert.match(text, /100 % \/ 100 % \/ 0 %/);
  });

  it('ends with an error where a request alone fails', async () => {
    const server = await fakeServer(() => 'error');
    await assert.rejects(measureAlone(defaultWorkload, optionsFor(server.url)),
                         /a request alone: failed by router: error in a stream: out of luck/);
    await server.close();
  });

  it('says that a process to watch is gone', async () => {
    const server = await fakeServer(() => 'answer');
    const options = { ...optionsFor(server.url), pids: [2 ** 22 + 1] };
    await assert.rejects(measureCapacity(defaultWorkload, options), /process 4194305 .* is gone/);
    await server.close();
  });
});
