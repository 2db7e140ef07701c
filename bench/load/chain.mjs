// One user's request: its calls one after the other, each to its model's server.
import { streamedCall } from './streamed_call.mjs';
import { promptOf } from './workload.mjs';

const timingParts = ['queue_ms', 'swap_ms', 'prefill_ms', 'decode_ms', 'transport_ms'];

function addTimings(sum, timings) {
  if (!timings) return sum;
  const added = sum ?? Object.fromEntries(timingParts.map((part) => [part, 0]));
  for (const part of timingParts) added[part] += timings[part];
  return added;
}

/** The calls of a request to `target`: its chain's, or one to a pipeline that is the chain. */
function callsOf(request, target) {
  if (!target.pipeline) return request.calls;
  const [first] = request.calls;
  const shown = request.calls.find((call) => call.shown);
  return [{ ...first, model: target.pipeline, shown: true, answerTokens: shown.answerTokens }];
}

/**
 * Sends a request of `workload.mjs` to `target` = {urlOf(model), pipeline?, banned?} and gives its
 * record: outcome ('completed', 'refused', 'failed'), and of a completed one, in ms from its
 * scheduled arrival `originMs`: ttftMs, totalMs; tokenMs between tokens of the shown call; tokens and
 * promptTokens of all calls; and the sum of the server's timings.
 */
export async function runChain(request, target, { originMs, deadlineMs }) {
  const signal = AbortSignal.timeout(
      Math.max(1, Math.round(originMs + deadlineMs - performance.now())));
  const record = { class: request.class, at: request.at, sentLateMs: performance.now() - originMs,
                   tokens: 0, promptTokens: 0, timings: null };
  let before = '';
  for (const call of callsOf(request, target)) {
    const answer = await streamedCall(
        { url: target.urlOf(call.model), model: call.model, prompt: promptOf(call, before),
          maxTokens: call.answerTokens, priority: request.priority,
          chat: Boolean(target.pipeline), banned: target.banned }, { signal });
    if (answer.outcome !== 'completed') {
      const { outcome, status, retryAfter, reason } = answer;
      return { ...record, outcome, status, retryAfter, reason, failedAt: call.model,
               endMs: performance.now() - originMs };
    }
    record.tokens += answer.tokens;
    record.promptTokens += answer.promptTokens;
    record.timings = addTimings(record.timings, answer.timings);
    if (call.shown) {
      record.ttftMs = answer.firstAt - originMs;
      const between = answer.tokens - 1;
      record.tokenMs = between > 0 ? (answer.lastAt - answer.firstAt) / between : null;
    }
    before = answer.text;
  }
  const totalMs = performance.now() - originMs;
  return { ...record, outcome: 'completed', totalMs, endMs: totalMs };
}
