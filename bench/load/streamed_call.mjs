// One streamed call to an OpenAI server, and what a client sees of it.
import http from 'node:http';

/** The `data:` payloads of a stream of server-sent events, as they come. */
export async function* events(response) {
  let rest = '';
  response.setEncoding('utf8');
  for await (const chunk of response) {
    const parts = (rest + chunk).split('\n\n');
    rest = parts.pop();
    for (const part of parts) if (part.startsWith('data: ')) yield part.slice(6);
  }
}

/** The response to a POST, once its head is there; over a connection of its own. */
function post(url, body, signal) {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const request = http.request(url, { method: 'POST', agent: false, headers, signal }, resolve);
    request.once('error', reject);
    request.end(body);
  });
}

function bodyOf({ model, prompt, maxTokens, priority, chat, banned = [] }) {
  const asked = chat ? { messages: [{ role: 'user', content: prompt }] } : { prompt };
  return JSON.stringify({
    model, ...asked, max_tokens: maxTokens, temperature: 0, ignore_eos: true, priority,
    logit_bias: Object.fromEntries(banned.map((id) => [id, -100])),
    stream: true, stream_options: { include_usage: true }, timings: true,
  });
}

/** A refusal keeps when to come back, in seconds; null where the server does not say. */
function refusal(response) {
  response.resume();
  const wait = response.headers['retry-after'];
  const retryAfter = wait ? Number(wait) : null;
  return { outcome: 'refused', status: response.statusCode, retryAfter };
}

const failure = (reason) => ({ outcome: 'failed', reason });

/** Follows a stream to its end. Whole: a reason to finish, then [DONE], and no error in between. */
async function follow(response, now) {
  const seen = { text: '', firstAt: null, lastAt: null, tokens: 0, promptTokens: 0, timings: null };
  let finished = false, done = false;
  for await (const data of events(response)) {
    if (data === '[DONE]') { done = true; continue; }
    const event = JSON.parse(data);
    if (event.error) return failure(`error in a stream: ${event.error.message}`);
    const choice = event.choices?.[0];
    const text = choice?.text ?? choice?.delta?.content ?? '';
    if (text) {
      seen.firstAt ??= now();
      seen.lastAt = now();
      seen.text += text;
    }
    if (choice?.finish_reason) finished = true;
    if (event.usage) {
      seen.tokens = event.usage.completion_tokens;
      seen.promptTokens = event.usage.prompt_tokens;
    }
    if (event.timings?.queue_ms !== undefined) seen.timings = event.timings;
  }
  if (!finished || !done) return failure('a stream without its end');
  return { outcome: 'completed', ...seen, firstAt: seen.firstAt ?? now(), endAt: now() };
}

/**
 * One call of `call` = {url, model, prompt, maxTokens, priority, chat, banned}, where `banned` are
 * ids of tokens that may not come; never throws. `outcome` is 'completed' (with text, firstAt,
 * lastAt, endAt in ms of `now`, tokens, promptTokens, and the timings of a server that splits its
 * time), 'refused' (429 or 503) or 'failed' (with a reason).
 */
export async function streamedCall(call, { signal, now = () => performance.now() } = {}) {
  const path = call.chat ? '/v1/chat/completions' : '/v1/completions';
  try {
    const response = await post(`${call.url}${path}`, bodyOf(call), signal);
    if (response.statusCode === 429 || response.statusCode === 503) return refusal(response);
    if (response.statusCode !== 200) {
      response.resume();
      return failure(`status ${response.statusCode}`);
    }
    return await follow(response, now);
  } catch (error) {
    return failure(signal?.aborted ? 'deadline' : String(error.message));
  }
}
