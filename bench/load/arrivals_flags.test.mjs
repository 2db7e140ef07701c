import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { parseFlags } from './arrivals_flags.mjs';
import { defaultWorkload } from './workload.mjs';

const url = ['--url', 'http://127.0.0.1:8080'];

describe('flags', () => {
  let folder;
  before(() => { folder = mkdtempSync(path.join(os.tmpdir(), 'arrivals-')); });
  after(() => { rmSync(folder, { recursive: true }); });

  const file = (name, content) => {
    const at = path.join(folder, name);
    writeFileSync(at, typeof content === 'string' ? content : JSON.stringify(content));
    return at;
  };

  it('have defaults for everything but the server', () => {
    const { options, workload, reference } = parseFlags(url);
    assert.deepEqual(options.loads, [50, 80, 100, 150]);
    assert.deepEqual(options.kinds, ['poisson', 'bursty']);
    assert.equal(options.urlOf('check'), 'http://127.0.0.1:8080');
    assert.equal(workload, defaultWorkload);
    assert.equal(reference, null);
    assert.deepEqual(options.banned, []);
    assert.deepEqual(parseFlags([...url, '--ban', '5-7']).options.banned, [5, 6, 7]);
  });

  it('give each model its server', () => {
    const { options } = parseFlags([...url, '--url', 'check=http://127.0.0.1:9/']);
    assert.equal(options.urlOf('check'), 'http://127.0.0.1:9');
    assert.equal(options.urlOf('router'), 'http://127.0.0.1:8080');
  });

  it('take the order from the classes', () => {
    const { workload } = parseFlags([...url, '--no-priorities']);
    assert.ok(workload.classes.every(({ priority }) => priority === 'medium'));
    assert.deepEqual(workload.classes.map(({ name }) => name), ['critical', 'medium', 'low']);
  });

  it('read thresholds and capacity of another system', () => {
    const slo = Object.fromEntries(
        defaultWorkload.classes.map(({ name }) => [name, { ttftMs: 1, totalMs: 2 }]));
    const other = { capacityPerSecond: 3, slo };
    const { reference } = parseFlags([...url, '--reference', file('other.json', other)]);
    assert.deepEqual(reference, other);
  });

  it('say what is wrong', () => {
    const wrong = (words, text) => assert.throws(() => parseFlags(words), (error) => {
      assert.ok(error.message.includes(text), error.message);
      return true;
    });
    wrong([], '--url: a server is needed');
    wrong(['--url', 'ftp://x'], '--url ftp://x: expected http://...');
    wrong(['--url', 'judge=http://x'], 'the workload calls no judge, only router, answer, check');
    wrong(['--url', 'check=http://x'], '--url: none for router');
    wrong([...url, '--loads', '50,much'], '--loads much: expected a number of at least 1');
    wrong([...url, '--kinds', 'poisson,daily'], '--kinds daily: expected poisson or bursty');
    wrong([...url, '--seconds', '0'], '--seconds 0');
    wrong([...url, '--users', '1.5'], '--users 1.5: expected an integer');
    wrong([...url, '--colour', 'red'], '--colour');
    wrong([...url, '--ban', '9-3'], '--ban 9-3: expected FIRST-LAST');
    wrong([...url, '--ban', '256'], '--ban 256: expected FIRST-LAST');
    wrong([...url, '--reference', path.join(folder, 'none.json')], 'none.json');
    wrong([...url, '--reference', file('empty.json', {})], 'no capacityPerSecond');
    wrong([...url, '--reference', file('bare.json', { capacityPerSecond: 1 })], 'class critical');
    wrong([...url, '--workload', file('cut.json', '{"classes": [')], 'cut.json');
    wrong([...url, '--workload', file('none.json', { classes: [] })], 'classes: expected a list');
    const [one] = structuredClone(defaultWorkload.classes);
    one.calls[1].answer.max = 0;
    wrong([...url, '--workload', file('short.json', { classes: [one] })],
          'classes[0].calls[1].answer.max: 0, expected 12 or more');
    one.calls[1] = one.calls[0];
    wrong([...url, '--workload', file('hidden.json', { classes: [one] })],
          '0 are shown, expected 1');
  });
});
