// A server of OpenAI's streams that does what a test tells it to.
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const chunk = (text, finish = null) => ({ choices: [{ text, finish_reason: finish }] });
const timings = { queue_ms: 1, swap_ms: 2, prefill_ms: 3, decode_ms: 4, transport_ms: 5 };
const usage = { choices: [], usage: { prompt_tokens: 7, completion_tokens: 3 }, timings };

async function stream(response, { tokenMs = 0, before, ends = true }) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (event) => response.write(`data: ${JSON.stringify(event)}\n\n`);
  response.write(': waiting\n\n');
  for (const text of ['one ', 'two ', 'three']) {
    await sleep(tokenMs);
    send(chunk(text));
    if (before === 'drop') return response.destroy();
    if (before === 'error') send({ error: { message: 'out of luck' } });
  }
  if (!ends) return response.end();
  send(chunk('', 'length'));
  send(usage);
  return response.end('data: [DONE]\n\n');
}

const behaviours = {
  answer: (response) => stream(response, {}),
  slow: (response) => stream(response, { tokenMs: 30 }),
  drop: (response) => stream(response, { before: 'drop' }),
  error: (response) => stream(response, { before: 'error' }),
  cut: (response) => stream(response, { ends: false }),
  busy: (response) => response.writeHead(429, { 'retry-after': '2' }).end('{}'),
  stopping: (response) => response.writeHead(503).end('{}'),
  wrong: (response) => response.writeHead(400).end('{}'),
  silent: () => {},
};

/**
 * A server whose answer to a request is `behave(body)`: 'answer', 'slow', 'drop' (the connection,
 * amid a stream), 'error' (in a stream), 'cut' (a stream without its end), 'busy' (429), 'stopping'
 * (503), 'wrong' (400) or 'silent'. Gives {url, bodies, close}: the bodies are those it received.
 */
export async function fakeServer(behave) {
  const bodies = [];
  const server = http.createServer(async (request, response) => {
    if (request.method !== 'POST') {
      response.writeHead(404).end();
      return;
    }
    let text = '';
    for await (const part of request) text += part;
    const body = JSON.parse(text);
    bodies.push({ path: request.url, ...body });
    await behaviours[behave(body)](response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, bodies, close };
}
