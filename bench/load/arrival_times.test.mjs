import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { arrivalKinds, arrivalTimes, dispersion } from './arrival_times.mjs';
import { Random } from './random.mjs';

const rate = 20, seconds = 400;
const draw = (kind, seed) => arrivalTimes(kind, { rate, seconds }, new Random(seed));

describe('arrival times', () => {
  for (const kind of arrivalKinds) {
    it(`${kind}: have the mean rate, in order, inside the run`, () => {
      const times = draw(kind, 1);
      assert.equal(times.length, rate * seconds);
      assert.ok(times.every((time, i) => time >= (times[i - 1] ?? 0) && time <= seconds));
      const firstHalf = times.filter((time) => time < seconds / 2).length / times.length;
      assert.ok(firstHalf > 0.4 && firstHalf < 0.6, `${firstHalf} of them in the first half`);
    });

    it(`${kind}: repeat with the seed and differ with another`, () => {
      assert.deepEqual(draw(kind, 7), draw(kind, 7));
      assert.notDeepEqual(draw(kind, 7), draw(kind, 8));
    });
  }

  it('poisson: gaps are exponential and counts have their mean as variance', () => {
    const times = draw('poisson', 2);
    const gaps = times.slice(1).map((time, i) => time - times[i]);
    const longer = gaps.filter((gap) => gap > 1 / rate).length / gaps.length;
    assert.ok(Math.abs(longer - Math.exp(-1)) < 0.02, `${longer} of the gaps are above the mean`);
    const spread = dispersion(times, seconds, 1);
    assert.ok(spread > 0.8 && spread < 1.2, `dispersion ${spread}`);
  });

  it('bursty: counts vary far more than the mean', () => {
    const spread = dispersion(draw('bursty', 2), seconds, 1);
    assert.ok(spread > 5, `dispersion ${spread}`);
  });

  it('dispersion: of a clock it is 0, of one burst it is large', () => {
    const clock = Array.from({ length: 100 }, (_, i) => i / 10 + 0.05);
    assert.equal(dispersion(clock, 10, 1), 0);
    assert.ok(dispersion(clock.map((time) => time / 10), 10, 1) > 50);
  });
});
