// Load and soundness of a running server: many greedy streams at once, with clients that hang up
// and requests that are wrong in between. Every answer must equal the answer to the same request
// asked alone, and afterwards processes, KV pages and memory must be back where they were.
// run.sh beside this file starts a server, runs this and stops the server.
//
//   node load.mjs http://127.0.0.1:8080 [--streams 64] [--seconds 60] [--max-tokens 48]
//                 [--aborts 0.15] [--malformed 0.1] [--plain 0.1] [--seed 1] [--growth-max MB]
//                 [--full-queue] [--key KEY] [--json]
//
// --plain: the share that asks for the answer in one piece instead of a stream.
// --growth-max: how much more may be resident at the end than at the start, MB; none: not judged.
// --full-queue: the server's queue is shorter than the load, so some requests must be refused.
import http from 'node:http';
import net from 'node:net';

import { metrics, total, untilIdle } from '../../tests/api/server.mjs';
import { Random } from './random.mjs';
import { events } from './streamed_call.mjs';

const options = {
  url: '', streams: 64, seconds: 60, 'max-tokens': 48, aborts: 0.15, malformed: 0.1, plain: 0.1,
  seed: 1, 'growth-max': Infinity, 'full-queue': false, key: '', json: false,
};
for (let i = 2; i < process.argv.length; ++i) {
  const word = process.argv[i];
  if (!word.startsWith('--')) options.url = word.replace(/\/$/, '');
  else if (word === '--json' || word === '--full-queue') options[word.slice(2)] = true;
  else if (word === '--key') options.key = process.argv[++i];
  else if (word.slice(2) in options) options[word.slice(2)] = Number(process.argv[++i]);
  else usage(`unknown flag ${word}`);
}
if (!options.url) usage('a server is needed');

function usage(why) {
  console.error(`load: ${why}\nusage: node load.mjs URL [--streams N] [--seconds N] ...`);
  process.exit(2);
}

// Small prompts that share beginnings, so that prefix reuse is exercised too.
const prompts = [
  'Once upon a time',
  'Once upon a time, there was a little girl named Lily.',
  'Once upon a time, there was a little boy who liked to play outside. One day,',
  'What is the capital of France?',
  'What is 17 plus 25?',
  'The quick brown fox jumps over the lazy dog. The quick brown fox jumps over the lazy dog. Then',
  'Tom and Sue went to the park. They saw a big dog.',
  'Gr\u00fc\u00dfe aus K\u00f6ln \u2014 na\u00efve caf\u00e9 \u{1F30D}',
];

const random = new Random(options.seed);

const answerWithinMs = 120_000;
const target = new URL(options.url);
const agent = new http.Agent({ keepAlive: true });
const headers = { 'content-type': 'application/json' };
if (options.key) headers.authorization = `Bearer ${options.key}`;

const counts = { answered: 0, wrong: 0, aborted: 0, malformed: 0, misjudged: 0, refused: 0, failed: 0 };
const firstTokenMs = [];
let tokens = 0;
const complaints = [];
const complain = (text) => { if (complaints.length < 10) complaints.push(text); };

/** The response to a POST; an answer that is not whole after `answerWithinMs` is an error. */
function send(path, body) {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(answerWithinMs);
    const request = http.request(
        { host: target.hostname, port: target.port, path, method: 'POST', agent, headers, signal }, resolve);
    request.once('error', reject);
    request.end(body);
  });
}

const ask = (prompt, more) => JSON.stringify(
    { prompt, temperature: 0, max_tokens: options['max-tokens'], ...more });

function refused(response) {
  response.resume();
  return { status: response.statusCode, retry: Number(response.headers['retry-after']) };
}

/** The same request, answered in one piece. */
async function plain(prompt) {
  const response = await send('/v1/completions', ask(prompt));
  if (response.statusCode !== 200) return refused(response);
  let body = '';
  response.setEncoding('utf8');
  for await (const chunk of response) body += chunk;
  const { choices: [{ text, finish_reason }], usage } = JSON.parse(body);
  tokens += usage.completion_tokens;
  return { status: 200, text: `${text}|${finish_reason}`, done: true };
}

/** One greedy stream: {text, status}; hangs up after `abortAfter` events. */
async function stream(prompt, abortAfter = Infinity) {
  const started = performance.now();
  const response = await send(
      '/v1/completions', ask(prompt, { stream: true, stream_options: { include_usage: true } }));
  if (response.statusCode !== 200) return refused(response);
  let text = '', seen = 0, finish = null, done = false;
  for await (const data of events(response)) {
    if (seen++ === 0) firstTokenMs.push(performance.now() - started);
    if (seen > abortAfter) {
      response.destroy();
      return { status: 0 };
    }
    if (data === '[DONE]') { done = true; continue; }
    const event = JSON.parse(data);
    if (event.error) return { status: 500, error: event.error.message };
    if (event.usage) tokens += event.usage.completion_tokens;
    for (const choice of event.choices) {
      text += choice.text;
      finish = choice.finish_reason ?? finish;
    }
  }
  return { status: 200, text: `${text}|${finish}`, done };
}

/** Bytes straight into a socket; true if the server answered 4xx or closed, and did not hang. */
function raw(bytes) {
  return new Promise((resolve) => {
    const socket = net.connect(Number(target.port), target.hostname);
    let seen = '';
    const over = (right) => { socket.destroy(); resolve(right); };
    socket.setTimeout(15_000, () => over(false));
    socket.on('data', (chunk) => {
      seen += chunk;
      if (seen.startsWith('HTTP/1.1 ') && seen.length > 12) over(seen[9] === '4');
    });
    socket.on('end', () => over(true));
    socket.on('error', () => over(true));
    socket.write(bytes);
  });
}

async function bad(path, body) {
  const response = await send(path, body);
  response.resume();
  return response.statusCode >= 400 && response.statusCode < 500;
}

/** A client that leaves without waiting for an answer. */
function quits(bytes) {
  return new Promise((resolve) => {
    const socket = net.connect(Number(target.port), target.hostname, () => {
      socket.write(bytes, () => { socket.destroy(); resolve(true); });
    });
    socket.on('error', () => resolve(true));
  });
}

const whole = ask('Tom');
const wrongRequests = [
  () => bad('/v1/completions', '{"prompt": "a", '),
  () => bad('/v1/completions', '{"prompt": "a", "max_tokens": "many"}'),
  () => bad('/v1/completions', '{"prompt": [1, -5]}'),
  () => bad('/v1/completions', '{"prompt": "a", "model": "no-such-model"}'),
  () => bad('/v1/completions', '{"prompt": "a", "max_tokens": 2000000000}'),
  () => bad('/v1/chat/completions', '{"messages": "hello"}'),
  () => bad('/v1/chat/completions', `{"messages": ${'['.repeat(5000)}`),
  () => bad('/v1/chat/completions', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])),
  () => bad('/nowhere', '{}'),
  () => raw('\x16\x03\x01\x00garbage\r\n\r\n'),
  () => raw(`GET / HTTP/1.1\r\nA: ${'x'.repeat(100_000)}\r\n\r\n`),
  () => raw('POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n'),
  () => quits('POST /v1/completions HTTP/1.1\r\nContent-Length: 100\r\n\r\n{"prompt"'),
  () => quits(`POST /v1/completions HTTP/1.1\r\nContent-Length: ${whole.length}\r\n\r\n${whole}`),
  () => quits('GET /v1/mod'),
];

async function worker(references, until) {
  while (performance.now() < until) {
    try {
      const dice = random.uniform();
      if (dice < options.malformed) {
        const which = random.below(wrongRequests.length);
        ++counts.malformed;
        if (!await wrongRequests[which]()) {
          ++counts.misjudged;
          complain(`malformed request ${which} was not refused`);
        }
        continue;
      }
      const prompt = random.pick(prompts);
      const aborts = dice < options.malformed + options.aborts;
      const answer = dice > 1 - options.plain
          ? await plain(prompt)
          : await stream(prompt, aborts ? random.below(8) : Infinity);
      if (answer.status === 429) {
        ++counts.refused;
        if (!(answer.retry >= 1)) {
          ++counts.misjudged;
          complain('429 without a Retry-After of a second or more');
        }
        const waitMs = 1000 * answer.retry * random.uniform() || 100;
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      } else if (answer.status === 0) {
        ++counts.aborted;
      } else if (answer.status !== 200 || !answer.done) {
        ++counts.failed;
        complain(`status ${answer.status}, ${answer.error ?? 'a stream without its end'}`);
      } else if (answer.text !== references.get(prompt)) {
        ++counts.wrong;
        complain(`${JSON.stringify(prompt)}: ${JSON.stringify(answer.text)} instead of ` +
                 JSON.stringify(references.get(prompt)));
      } else {
        ++counts.answered;
      }
    } catch (error) {
      ++counts.failed;
      complain(String(error));
    }
  }
}

function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : 0;
}

async function snapshot() {
  const samples = await metrics(options.url, options.key);
  const pages = (kind) => total(samples, 'neuros_kv_pages', `state="${kind}"`);
  return {
    used: pages('used'),
    pages: pages('used') + pages('cached') + pages('free'),
    processes: total(samples, 'neuros_processes'),
    resident: total(samples, 'process_resident_memory_bytes'),
    inFlight: total(samples, 'neuros_http_requests_in_flight'),
  };
}

const references = new Map();
for (const prompt of prompts) {
  const answer = await stream(prompt);
  if (answer.status !== 200) {
    console.error(`load: ${JSON.stringify(prompt)} alone: status ${answer.status}`);
    process.exit(1);
  }
  references.set(prompt, answer.text);
}
await untilIdle(options.url, 20, options.key);
const before = await snapshot();
firstTokenMs.length = 0;
tokens = 0;

const begin = performance.now();
const until = begin + options.seconds * 1000;
await Promise.all(Array.from({ length: options.streams }, () => worker(references, until)));
const seconds = (performance.now() - begin) / 1000;
agent.destroy();
await untilIdle(options.url, 30, options.key).catch((error) => complain(error.message));
await new Promise((resolve) => setTimeout(resolve, 500));
const after = await snapshot();

const report = {
  streams: options.streams, seconds: Number(seconds.toFixed(1)), ...counts,
  requests_per_s: Number(((counts.answered + counts.wrong) / seconds).toFixed(2)),
  tokens_per_s: Number((tokens / seconds).toFixed(1)),
  ttft_ms_p50: Number(quantile(firstTokenMs, 0.5).toFixed(1)),
  ttft_ms_p99: Number(quantile(firstTokenMs, 0.99).toFixed(1)),
  processes_left: after.processes, pages_used_left: after.used - before.used,
  pages_lost: before.pages - after.pages, requests_left: after.inFlight - before.inFlight,
  resident_mb_before: Number((before.resident / 1e6).toFixed(1)),
  resident_mb_after: Number((after.resident / 1e6).toFixed(1)),
};
const growthMb = (after.resident - before.resident) / 1e6;
if (growthMb > options['growth-max']) complain(`${growthMb.toFixed(1)} MB more are resident`);
if (options['full-queue'] && !counts.refused) complain('no request met a full queue');
report.sound = counts.answered > 0 && !complaints.length &&
    !report.processes_left && !report.pages_used_left && !report.pages_lost && !report.requests_left;
if (options.json) {
  console.log(JSON.stringify(report));
} else {
  for (const [name, value] of Object.entries(report)) console.log(`${name.padEnd(20)} ${value}`);
}
for (const text of complaints) console.error(`load: ${text}`);
process.exit(report.sound ? 0 : 1);
