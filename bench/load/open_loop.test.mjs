import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { runChain } from './chain.mjs';
import { closedLoop } from './closed_loop.mjs';
import { fakeServer } from './fake_server.mjs';
import { openLoop } from './open_loop.mjs';
import { Random } from './random.mjs';
import { summarise, summariseByClass } from './statistics.mjs';
import { streamedCall } from './streamed_call.mjs';
import { defaultWorkload, drawRequests } from './workload.mjs';

const call = { model: 'answer', prompt: 'hello', maxTokens: 3, priority: 'low' };

/** Runs `test(server)` against a server that behaves so, and stops it. */
async function against(behave, test) {
  const server = await fakeServer(behave);
  try {
    await test(server);
  } finally {
    await server.close();
  }
}

const target = (server, more) => ({ urlOf: () => server.url, ...more });

describe('a streamed call', () => {
  const outcomes = [
    ['answer', { outcome: 'completed', text: 'one two three', tokens: 3, promptTokens: 7 }],
    ['busy', { outcome: 'refused', status: 429, retryAfter: 2 }],
    ['stopping', { outcome: 'refused', status: 503, retryAfter: null }],
    ['wrong', { outcome: 'failed', reason: 'status 400' }],
    ['error', { outcome: 'failed', reason: 'error in a stream: out of luck' }],
    ['cut', { outcome: 'failed', reason: 'a stream without its end' }],
    ['drop', { outcome: 'failed', reason: 'aborted' }],
  ];
  for (const [behaviour, expected] of outcomes) {
    it(`${behaviour}: ${expected.outcome}`, () => against(() => behaviour, async ({ url }) => {
      const seen = await streamedCall({ url, ...call });
      for (const [key, value] of Object.entries(expected)) assert.equal(seen[key], value, key);
    }));
  }

  it('silent: failed at the deadline', () => against(() => 'silent', async ({ url }) => {
    const seen = await streamedCall({ url, ...call }, { signal: AbortSignal.timeout(50) });
    assert.deepEqual(seen, { outcome: 'failed', reason: 'deadline' });
  }));

  it('nobody there: failed', async () => {
    const seen = await streamedCall({ url: 'http://127.0.0.1:9', ...call });
    assert.equal(seen.outcome, 'failed');
  });

  it('sees the first token before the end', () => against(() => 'slow', async ({ url }) => {
    let clock = 0;
    const seen = await streamedCall({ url, ...call }, { now: () => ++clock });
    assert.ok(seen.firstAt < seen.lastAt && seen.lastAt < seen.endAt);
  }));
});

describe('a chain', () => {
  const [request] = drawRequests(defaultWorkload, [0], new Random(1));
  const run = (server, more) => runChain(
      request, target(server, more), { originMs: performance.now(), deadlineMs: 5000 });

  it('calls one model after the other and quotes the answer before', () =>
    against(() => 'answer', async (server) => {
      const record = await run(server);
      assert.equal(record.outcome, 'completed');
      assert.deepEqual(server.bodies.map(({ model }) => model), ['router', 'answer', 'check']);
      assert.ok(server.bodies[1].prompt.startsWith('one two three'));
      assert.deepEqual(server.bodies.map(({ prompt }) => prompt.length),
                       request.calls.map(({ words }) => words.length));
      assert.equal(record.tokens, 9);
      assert.equal(record.promptTokens, 21);
      assert.equal(record.timings.decode_ms, 12);
      assert.ok(record.ttftMs <= record.totalMs);
    }));

  it('ends where a call is refused', () =>
    against(({ model }) => model === 'answer' ? 'busy' : 'answer', async (server) => {
      const record = await run(server);
      assert.equal(record.outcome, 'refused');
      assert.equal(record.failedAt, 'answer');
      assert.equal(server.bodies.length, 2);
    }));

  it('bans tokens', () => against(() => 'answer', async (server) => {
    await run(server, { banned: [128, 129] });
    assert.deepEqual(server.bodies[0].logit_bias, { 128: -100, 129: -100 });
  }));

  it('is one request to a pipeline', () => against(() => 'answer', async (server) => {
    const record = await run(server, { pipeline: 'assistant' });
    assert.equal(record.outcome, 'completed');
    assert.deepEqual(server.bodies.map(({ path, model }) => `${path} ${model}`),
                     ['/v1/chat/completions assistant']);
  }));
});

describe('an open loop', () => {
  const behaviours = ['answer', 'slow', 'drop', 'error', 'cut', 'busy', 'stopping', 'wrong'];

  it('loses nothing, whatever the server does', async () => {
    const random = new Random(3);
    const times = Array.from({ length: 200 }, (_, i) => i / 1000);
    const requests = drawRequests(defaultWorkload, times, random);
    await against(() => random.pick(behaviours), async (server) => {
      const records = await openLoop(requests, (request, originMs) => runChain(
          request, target(server), { originMs, deadlineMs: 30_000 }));
      assert.equal(records.length, requests.length);
      const classes = ['critical', 'medium', 'low'];
      const byClass = summariseByClass(records, classes, { seconds: 1 });
      for (const name of classes) {
        const { arrivals, completed, refused, failed, reasons } = byClass[name];
        assert.equal(arrivals, requests.filter((request) => request.class === name).length);
        assert.equal(arrivals, completed + refused + failed);
        assert.equal(failed, Object.values(reasons).reduce((sum, times) => sum + times, 0));
      }
      const all = summarise(records, { seconds: 1 });
      assert.ok(all.completed > 0 && all.refused > 0 && all.failed > 0);
    });
  });

  it('does not wait for answers, and counts from when a request was due', async () => {
    const requests = [0, 0.001, 0.002].map((at) => ({ at }));
    const sent = [];
    let release;
    const answered = new Promise((resolve) => { release = resolve; });
    const records = await openLoop(requests, async (request, originMs) => {
      sent.push(originMs);
      if (sent.length === requests.length) release();
      await answered;  // none is answered before the last is sent
      return request.at;
    });
    assert.deepEqual(records, [0, 0.001, 0.002]);
    assert.ok(Math.abs(sent[2] - sent[0] - 2) < 1e-6, 'due times are those drawn');
  });
});

describe('a closed loop', () => {
  it('asks again once answered, never more than its users at a time', async () => {
    let underWay = 0, most = 0;
    const { perSecond, records } = await closedLoop(() => ({}), async () => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setImmediate(resolve));
      --underWay;
      return { outcome: 'completed' };
    }, { users: 4, seconds: 0.05 });
    assert.equal(most, 4);
    assert.ok(perSecond > 0 && records.length > 4);
  });
});
