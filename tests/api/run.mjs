// The pinned OpenAI clients against a real server: node --test run.mjs
//   NEUROS=build/neuros NEUROS_MODEL=model.gguf   what to start (these are the defaults), or
//   NEUROS_SERVER="program args"                  any command that prints "listening on URL", or
//   NEUROS_URL=http://127.0.0.1:8080              a server that is already there.
// Skips, and says so, where the npm packages are missing and cannot be installed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { metrics, plannedMemory, startServer, total, untilIdle } from './server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

/** Why the clients cannot be had, or false. */
function missingClients() {
  if (existsSync(path.join(here, 'node_modules/openai'))) return false;
  try {
    execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--silent'],
                 { cwd: here, stdio: 'pipe', timeout: 180_000 });
    return false;
  } catch (error) {
    return `npm cannot install the clients (no registry?): ${String(error.message).split('\n')[0]}`;
  }
}

const skip = missingClients();
if (skip) console.log(`# skipped: ${skip}`);

const question = [{ role: 'user', content: 'What is the capital of France?' }];

describe('clients', { skip }, () => {
  let server, openai, OpenAI, model;

  before(async () => {
    server = await startServer();
    ({ default: OpenAI } = await import('openai'));
    openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
    model = (await openai.models.list()).data[0].id;
  });
  after(async () => {
    if (!server) return;
    await untilIdle(server.url);
    assert.equal(await server.stop(), 0, 'a server that is asked to stop ends with 0');
  });

  const chat = (extra) => openai.chat.completions.create(
      { model, messages: question, temperature: 0, max_tokens: 24, ...extra });

  describe('openai', () => {
    it('lists and shows models', async () => {
      const shown = await openai.models.retrieve(model);
      assert.equal(shown.id, model);
      assert.equal(shown.object, 'model');
      assert.ok(shown.context_length > 0);
    });

    it('chats', async () => {
      const { data, response } = await chat().withResponse();
      assert.equal(data.object, 'chat.completion');
      assert.equal(data.choices[0].message.role, 'assistant');
      assert.equal(typeof data.choices[0].message.content, 'string');
      assert.ok(['stop', 'length'].includes(data.choices[0].finish_reason));
      assert.ok(data.usage.prompt_tokens > 0);
      assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
      assert.equal(data.usage.prompt_tokens_details.cached_tokens >= 0, true);
      assert.match(response.headers.get('x-request-id'), /^req-/);
    });

    it('streams what it answers plainly', async () => {
      const plain = await chat();
      const stream = await chat({ stream: true, stream_options: { include_usage: true } });
      let text = '', role, finish, usage, chunks = 0;
      for await (const chunk of stream) {
        ++chunks;
        if (chunk.usage) usage = chunk.usage;
        const choice = chunk.choices[0];
        if (!choice) continue;
        role ??= choice.delta.role;
        text += choice.delta.content ?? '';
        finish = choice.finish_reason ?? finish;
      }
      assert.equal(role, 'assistant');
      assert.equal(text, plain.choices[0].message.content);
      assert.equal(finish, plain.choices[0].finish_reason);
      assert.equal(usage.completion_tokens, plain.usage.completion_tokens);
      assert.ok(chunks >= 3);
    });

    it('streams through the helper', async () => {
      const runner = openai.chat.completions.stream(
          { model, messages: question, temperature: 0, max_tokens: 12 });
      const final = await runner.finalChatCompletion();
      assert.equal(final.choices[0].message.content,
                   (await chat({ max_tokens: 12 })).choices[0].message.content);
    });

    it('gives n choices, stops and log-probabilities', async () => {
      const answer = await chat({ n: 2, logprobs: true, top_logprobs: 3, max_tokens: 4 });
      assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1]);
      assert.equal(answer.choices[0].message.content, answer.choices[1].message.content);
      const entries = answer.choices[0].logprobs.content;
      assert.ok(entries.length >= 1 && entries.length <= 4);
      for (const entry of entries) {
        assert.equal(entry.top_logprobs.length, 3);
        assert.equal(entry.top_logprobs[0].token, entry.token, 'greedy takes the likeliest');
        assert.equal(entry.top_logprobs[0].logprob, entry.logprob);
        assert.ok(entry.logprob <= 0 && Array.isArray(entry.bytes));
      }
      const whole = (await chat()).choices[0].message.content;
      const stop = whole.slice(3, 5);
      const stopped = await chat({ stop: [stop] });
      assert.equal(stopped.choices[0].message.content, whole.slice(0, whole.indexOf(stop)));
      assert.equal(stopped.choices[0].finish_reason, 'stop');
    });

    it('repeats itself with a seed', async () => {
      const ask = { temperature: 1, seed: 7, max_tokens: 16 };
      assert.equal((await chat(ask)).choices[0].message.content,
                   (await chat(ask)).choices[0].message.content);
    });

    it('completes, with echo and legacy log-probabilities', async () => {
      const prompt = 'Once upon a time';
      const { tokens } = await (await fetch(`${server.url}/tokenize`, {
        method: 'POST', body: JSON.stringify({ prompt, add_special_tokens: true }),
      })).json();
      const scored = await openai.completions.create(
          { model, prompt: [tokens], temperature: 0, max_tokens: 1, logprobs: 1, echo: true, seed: 1234 });
      const { logprobs, text } = scored.choices[0];
      for (const key of ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset']) {
        assert.equal(logprobs[key].length, tokens.length + 1, key);
      }
      assert.equal(logprobs.token_logprobs[0], null);
      assert.equal(logprobs.top_logprobs[0], null);
      for (let i = 1; i < tokens.length; ++i) {
        assert.ok(logprobs.token_logprobs[i] <= 0);
        const best = Math.max(...Object.values(logprobs.top_logprobs[i]));
        assert.ok(best >= logprobs.token_logprobs[i]);
        assert.ok(logprobs.text_offset[i] >= logprobs.text_offset[i - 1]);
      }
      assert.ok(text.startsWith(prompt));
      const alone = await openai.completions.create(
          { model, prompt: tokens, temperature: 0, max_tokens: 1 });
      assert.equal(text, prompt + alone.choices[0].text);
      const zero = await openai.completions.create(
          { model, prompt, max_tokens: 0, logprobs: 0, echo: true });
      assert.equal(zero.choices[0].text, prompt);
    });

    it('completes many prompts at once, plainly and streamed', async () => {
      const prompts = ['One', 'Two', 'Three', 'Four'];
      const ask = { model, prompt: prompts, temperature: 0, max_tokens: 6 };
      const plain = await openai.completions.create(ask);
      const streamed = prompts.map(() => '');
      for await (const chunk of await openai.completions.create({ ...ask, stream: true })) {
        for (const choice of chunk.choices) streamed[choice.index] += choice.text;
      }
      assert.deepEqual(streamed, plain.choices.map((choice) => choice.text));
    });

    it('reports errors as exceptions with status, code and param', async () => {
      const fails = async (promise, kind, fields) => {
        const error = await promise.then(() => assert.fail('no error'), (reason) => reason);
        assert.ok(error instanceof kind, String(error));
        for (const [key, value] of Object.entries(fields)) assert.equal(error[key], value, key);
        assert.ok(error.requestID);
      };
      await fails(chat({ model: 'no-such-model' }), OpenAI.NotFoundError,
                  { status: 404, code: 'model_not_found', param: 'model' });
      await fails(chat({ temperature: 9 }), OpenAI.BadRequestError,
                  { status: 400, param: 'temperature', type: 'invalid_request_error' });
      await fails(chat({ messages: [{ role: 'user', content: 'a' }, { role: 'boss', content: 'b' }] }),
                  OpenAI.BadRequestError, { param: 'messages[1].role' });
      await fails(chat({ response_format: { type: 'json_object' } }), OpenAI.BadRequestError,
                  { code: 'unsupported', param: 'response_format' });
      await fails(chat({ max_tokens: 100_000_000 }), OpenAI.BadRequestError,
                  { code: 'context_length_exceeded' });
      await fails(openai.completions.create({ model, prompt: 'word '.repeat(300_000) }),
                  OpenAI.BadRequestError, { code: 'context_length_exceeded', param: 'prompt' });
      await fails(openai.embeddings.create({ model, input: 'a', encoding_format: 'float' }),
                  OpenAI.NotFoundError, { status: 404 });
    });

    it('frees what an aborted stream held', async () => {
      const stream = await chat({ stream: true, max_tokens: 200, ignore_eos: true });
      let seen = 0;
      await assert.rejects(async () => {
        for await (const chunk of stream) {
          assert.ok(chunk.choices);
          if (++seen === 3) {
            stream.controller.abort();
            throw new Error('enough');
          }
        }
      });
      await untilIdle(server.url);
      const samples = await metrics(server.url);
      assert.equal(total(samples, 'neuros_kv_pages', 'state="used"'), 0);
    });
  });

  describe('ai sdk', () => {
    it('generates and streams text', async () => {
      const { createOpenAICompatible } = await import('@ai-sdk/openai-compatible');
      const { generateText, streamText } = await import('ai');
      const provider = createOpenAICompatible({ name: 'neuros', baseURL: `${server.url}/v1`, includeUsage: true });
      const ask = { model: provider(model), prompt: question[0].content, temperature: 0, maxOutputTokens: 16 };
      const plain = await generateText(ask);
      const streamed = streamText(ask);
      let text = '';
      for await (const part of streamed.textStream) text += part;
      assert.equal(text, plain.text);
      const usage = await streamed.usage;
      assert.equal(usage.outputTokens, plain.usage.outputTokens);
      assert.equal(usage.inputTokens, plain.usage.inputTokens);
    });

    it('sends tools and gets text', async () => {
      const { createOpenAICompatible } = await import('@ai-sdk/openai-compatible');
      const { generateText, tool } = await import('ai');
      const { z } = await import('zod');
      const provider = createOpenAICompatible({ name: 'neuros', baseURL: `${server.url}/v1` });
      const weather = tool({ description: 'The weather', inputSchema: z.object({ city: z.string() }) });
      const answer = await generateText({ model: provider(model), prompt: 'Hello', tools: { weather },
                                          temperature: 0, maxOutputTokens: 8 });
      assert.equal(typeof answer.text, 'string');
    });
  });

  describe('langchain', () => {
    it('invokes and streams', async () => {
      const { ChatOpenAI } = await import('@langchain/openai');
      const llm = new ChatOpenAI({ model, apiKey: 'none', temperature: 0, maxTokens: 16, maxRetries: 0,
                                   configuration: { baseURL: `${server.url}/v1` } });
      const plain = await llm.invoke(question[0].content);
      let text = '', usage;
      for await (const chunk of await llm.stream(question[0].content)) {
        text += chunk.content;
        usage = chunk.usage_metadata ?? usage;
      }
      assert.equal(text, plain.content);
      assert.equal(usage.output_tokens, plain.usage_metadata.output_tokens);
    });
  });
});

describe('without a client', () => {
  let server;
  before(async () => { server = await startServer(); });
  after(async () => { await server?.stop(); });

  it('answers what lm-evaluation-harness asks', async () => {
    const info = await (await fetch(`${server.url}/tokenizer_info`)).json();
    assert.ok('eos_token' in info && 'bos_token' in info && 'chat_template' in info);
    const post = async (url, body) => (await fetch(`${server.url}${url}`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
    })).json();
    const { tokens } = await post('/tokenize', { prompt: 'a test', add_special_tokens: false });
    assert.ok(tokens.length > 0);
    const { prompt } = await post('/detokenize', { tokens });
    assert.equal(prompt.trim(), 'a test');
  });

  it('answers malformed requests in the error shape', async () => {
    for (const body of ['', '{', '[1]', '{"messages":"x"}', '\u0000', '{"a":'.repeat(5000)]) {
      const response = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body });
      assert.equal(response.status, 400);
      const { error } = await response.json();
      assert.deepEqual(Object.keys(error), ['message', 'type', 'code', 'param']);
    }
  });

  it('reports the memory that was planned', async (t) => {
    const planned = plannedMemory();
    if (!planned) return t.skip('no program that could plan');
    const samples = await metrics(server.url);
    for (const arena of ['weights', 'kv', 'activations', 'scratch']) {
      assert.equal(total(samples, 'neuros_memory_bytes', `arena="${arena}"`), planned[arena], arena);
    }
    assert.equal(total(samples, 'neuros_memory_bytes', 'tier="host"'), planned.arenas);
    assert.equal(total(samples, 'neuros_memory_predicted_bytes', 'state="up"'), planned.steady);
    assert.equal(total(samples, 'neuros_memory_predicted_bytes', 'state="peak"'), planned.peak);
  });

  it('is healthy and ready', async () => {
    for (const url of ['/health', '/ready', '/', '/metrics']) {
      assert.equal((await fetch(server.url + url)).status, 200, url);
    }
  });
});
