// What the users ask: classes of requests, each a chain of calls over models.
import { readFileSync } from 'node:fs';

/**
 * A router reads the question, a large model answers, a third checks the answer. Lengths are
 * log-normal: of a prompt in characters, of an answer in tokens. `shown`: the one call whose answer
 * the user waits to see. Each call after the first quotes what the call before it gave.
 */
export const defaultWorkload = {
  classes: [
    { name: 'critical', weight: 0.2, priority: 'critical', calls: chain(100, 12) },
    { name: 'medium', weight: 0.5, priority: 'medium', calls: chain(120, 16) },
    { name: 'low', weight: 0.3, priority: 'low', calls: chain(160, 24) },
  ],
};

function chain(promptChars, answerTokens) {
  return [
    { model: 'router', prompt: { median: promptChars / 2, sigma: 0.4, max: 300 },
      answer: { median: 2, sigma: 0, max: 2 } },
    { model: 'answer', shown: true, prompt: { median: promptChars, sigma: 0.4, max: 500 },
      answer: { median: answerTokens, sigma: 0.5, max: 64 } },
    { model: 'check', prompt: { median: promptChars, sigma: 0.4, max: 500 },
      answer: { median: 4, sigma: 0.3, max: 8 } },
  ];
}

/** The same requests without an order among them. */
export function withoutPriorities(workload) {
  return { classes: workload.classes.map((one) => ({ ...one, priority: 'medium' })) };
}

/** Ids of the models that a workload calls, in order of their first call. */
export function modelsOf(workload) {
  return [...new Set(workload.classes.flatMap(({ calls }) => calls.map(({ model }) => model)))];
}

/** A workload in a JSON file of the shape of `defaultWorkload`; errors name the file and value. */
export function readWorkload(path) {
  let workload;
  try {
    workload = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path}: ${error.message}`);
  }
  const wrong = wrongPart(workload);
  if (wrong) throw new Error(`${path}: ${wrong}`);
  return workload;
}

const isList = (value) => Array.isArray(value) && value.length > 0;
const isText = (value) => typeof value === 'string' && value !== '';

/** The first part of a workload that is not as it must be, in words; '' if there is none. */
function wrongPart(workload) {
  if (!isList(workload?.classes)) return 'classes: expected a list that is not empty';
  for (const [i, one] of workload.classes.entries()) {
    const at = `classes[${i}]`;
    if (!isText(one?.name)) return `${at}.name: expected a text`;
    if (!(one.weight > 0)) return `${at}.weight: ${one.weight}, expected a number above 0`;
    if (!isText(one.priority)) return `${at}.priority: expected a text`;
    if (!isList(one.calls)) return `${at}.calls: expected a list that is not empty`;
    const wrong = one.calls.map((call, k) => wrongCall(call, `${at}.calls[${k}]`)).find(Boolean);
    if (wrong) return wrong;
    const shown = one.calls.filter((call) => call.shown).length;
    if (shown !== 1) return `${at}.calls: ${shown} are shown, expected 1`;
  }
  return '';
}

function wrongCall(call, at) {
  if (!isText(call?.model)) return `${at}.model: expected a text`;
  for (const key of ['prompt', 'answer']) {
    const { median, sigma, max } = call[key] ?? {};
    if (!(median >= 1)) return `${at}.${key}.median: ${median}, expected 1 or more`;
    if (!(sigma >= 0)) return `${at}.${key}.sigma: ${sigma}, expected 0 or more`;
    if (!(max >= median)) return `${at}.${key}.max: ${max}, expected ${median} or more`;
  }
  return '';
}

/** Words of small letters, `chars` characters of them. */
function words(chars, random) {
  let text = '';
  while (text.length < chars) {
    for (let left = 2 + random.below(7); left > 0; --left) {
      text += String.fromCharCode(97 + random.below(26));
    }
    text += ' ';
  }
  return text.slice(0, chars);
}

function drawCall({ model, shown, prompt, answer }, random) {
  return { model, shown: shown === true, words: words(random.length(prompt), random),
           answerTokens: random.length(answer) };
}

/** A request of one class of the workload, all its lengths and texts drawn. */
function drawRequest({ name, priority, calls }, random) {
  return { class: name, priority, calls: calls.map((call) => drawCall(call, random)) };
}

/** A request for each time of `times`, in seconds from the beginning of the run. */
export function drawRequests(workload, times, random) {
  return times.map((at, index) => (
    { index, at, ...drawRequest(random.pickWeighted(workload.classes), random) }));
}

/** `count` requests of every class, the classes in turn. */
export function drawOfEachClass(workload, count, random) {
  const turns = Array.from({ length: count }, () => workload.classes).flat();
  return turns.map((one, index) => ({ index, at: 0, ...drawRequest(one, random) }));
}

/** The call's prompt: half of it at most quotes the answer before, the rest are its own words. */
export function promptOf(call, answerBefore) {
  const quote = answerBefore.slice(0, Math.floor(call.words.length / 2));
  return quote + call.words.slice(quote.length);
}
