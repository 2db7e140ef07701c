import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { meets, percentile, sloFromIdle, summarise, summariseByClass } from './statistics.mjs';

const slo = { a: { ttftMs: 100, totalMs: 1000 }, b: { ttftMs: 100, totalMs: null } };
const completed = (more) => ({
  class: 'a', at: 0, outcome: 'completed', ttftMs: 50, totalMs: 500, endMs: 500, tokenMs: 5,
  timings: null, ...more });

describe('percentile', () => {
  it('is the nearest rank', () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i);
    assert.equal(percentile(values, 0.5), 50);
    assert.equal(percentile(values, 0.95), 95);
    assert.equal(percentile(values, 0.99), 99);
    assert.equal(percentile(values, 1), 100);
  });

  it('of few values is one of them, of none nothing', () => {
    assert.equal(percentile([3], 0.5), 3);
    assert.equal(percentile([10, 9], 0.5), 9);
    assert.equal(percentile([10, 9], 0.99), 10);
    assert.equal(percentile([], 0.5), null);
  });
});

describe('objectives', () => {
  it('are met by what completed within both thresholds', () => {
    assert.ok(meets(completed(), slo.a));
    assert.ok(meets(completed({ ttftMs: 100, totalMs: 1000 }), slo.a));
    assert.ok(!meets(completed({ ttftMs: 101 }), slo.a));
    assert.ok(!meets(completed({ totalMs: 1001 }), slo.a));
    assert.ok(!meets(completed({ outcome: 'refused' }), slo.a));
  });

  it('without a threshold take any time', () => {
    assert.ok(meets(completed({ totalMs: 1e9 }), slo.b));
  });

  it('come from what requests take alone', () => {
    const idle = { a: { ttftMs: { p50: 20 }, totalMs: { p50: 200 } } };
    assert.deepEqual(sloFromIdle(idle, 5), { a: { ttftMs: 100, totalMs: 1000 } });
  });
});

describe('summary', () => {
  const records = [
    completed(),
    completed({ at: 9.8, tokenMs: null }),
    completed({ class: 'b', ttftMs: 200 }),
    { class: 'b', at: 1, outcome: 'refused', status: 429 },
    { class: 'b', at: 2, outcome: 'failed', reason: 'deadline' },
  ];

  it('adds up', () => {
    const all = summarise(records, { seconds: 10, slo });
    assert.equal(all.arrivals, 5);
    assert.equal(all.arrivals, all.completed + all.refused + all.failed);
    assert.deepEqual(all.reasons, { deadline: 1 });
    assert.equal(all.offeredPerSecond, 0.5);
    assert.equal(all.servedPerSecond, 0.2, 'what ended after the arrivals is not their throughput');
    assert.equal(all.attainment, 2 / 5);
    assert.equal(all.ttftMs.p99, 200);
    assert.equal(all.tokenMs.p50, 5);
  });

  it('by class has every class, also an empty one', () => {
    const byClass = summariseByClass(records, ['a', 'b', 'c'], { seconds: 10, slo });
    assert.equal(byClass.a.attainment, 1);
    assert.equal(byClass.b.arrivals, 3);
    assert.equal(byClass.c.arrivals, 0);
    assert.equal(byClass.c.attainment, null);
  });

  it('averages the times that a server splits', () => {
    const split = (queue_ms) => completed({ timings: { queue_ms } });
    const { timings } = summarise([split(10), split(30), completed()], { seconds: 10, slo });
    assert.deepEqual(timings, { queue_ms: 20 });
  });
});
