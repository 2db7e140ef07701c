// The command line of arrivals.mjs.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { arrivalKinds } from './arrival_times.mjs';
import { defaultWorkload, modelsOf, readWorkload, withoutPriorities } from './workload.mjs';

function fail(text) {
  throw Object.assign(new Error(text), { usage: true });
}

const text = (value) => ({ type: 'string', default: value });
const flags = {
  url: { type: 'string', multiple: true }, pid: { type: 'string', multiple: true, default: [] },
  name: text('ours'), out: text(''), loads: text('50,80,100,150'), kinds: text('poisson,bursty'),
  seconds: text('15'), seed: text('1'), reference: text(''), capacity: text(''),
  'capacity-seconds': text('15'), users: text('16'), idle: text('8'), 'slo-factor': text('5'),
  'slo-ttft': text(''), 'slo-total': text(''), deadline: text('60'), workload: text(''),
  'no-priorities': { type: 'boolean', default: false }, pipeline: text(''), ban: text(''),
};

/** A number of at least `least`; `flag` is for the error. */
function number(value, flag, least) {
  const parsed = value.trim() === '' ? NaN : Number(value);
  if (!(parsed >= least)) fail(`--${flag} ${value}: expected a number of at least ${least}`);
  return parsed;
}

/** An integer of at least `least`. */
function whole(value, flag, least) {
  const parsed = number(value, flag, least);
  if (!Number.isSafeInteger(parsed)) fail(`--${flag} ${value}: expected an integer`);
  return parsed;
}

const optional = (value, flag, least) => value === '' ? undefined : number(value, flag, least);

/** The function from a model's id to its server. */
function parseUrls(urls, models) {
  const of = {};
  let common;
  for (const entry of urls ?? fail('--url: a server is needed')) {
    const [, model, url] = /^(?:([^=/:]+)=)?(.*)$/.exec(entry);
    if (!URL.canParse(url) || !url.startsWith('http:')) fail(`--url ${entry}: expected http://...`);
    if (model && !models.includes(model)) {
      fail(`--url ${entry}: the workload calls no ${model}, only ${models.join(', ')}`);
    }
    if (model) of[model] = url.replace(/\/$/, '');
    else common = url.replace(/\/$/, '');
  }
  const missing = models.find((model) => !of[model] && !common);
  if (missing) fail(`--url: none for ${missing}`);
  return (model) => of[model] ?? common;
}

function parseKinds(value) {
  const kinds = value.split(',');
  const unknown = kinds.find((kind) => !arrivalKinds.includes(kind));
  if (unknown !== undefined) fail(`--kinds ${unknown}: expected ${arrivalKinds.join(' or ')}`);
  return kinds;
}

/** Thresholds given for all classes, or undefined. */
function parseSlo(values, classes) {
  const ttftMs = optional(values['slo-ttft'], 'slo-ttft', 0);
  const totalMs = optional(values['slo-total'], 'slo-total', 0);
  if (ttftMs === undefined && totalMs === undefined) return undefined;
  const slo = { ttftMs: ttftMs ?? null, totalMs: totalMs ?? null };
  return Object.fromEntries(classes.map(({ name }) => [name, slo]));
}

/** "FIRST-LAST" as the list of these ids; '' is none. */
function parseIds(range) {
  if (range === '') return [];
  const [, first, last] = /^(\d+)-(\d+)$/.exec(range) ?? [];
  const count = last - first + 1;
  if (!(count >= 1 && count <= 1024)) fail(`--ban ${range}: expected FIRST-LAST, 1024 ids at most`);
  return Array.from({ length: count }, (_, i) => Number(first) + i);
}

/** What another run wrote, of the same classes. */
function readReference(path, classes) {
  let reference;
  try {
    reference = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    fail(`--reference ${path}: ${error.message}`);
  }
  if (!(reference.capacityPerSecond > 0)) fail(`--reference ${path}: no capacityPerSecond`);
  const missing = classes.find(({ name }) => !reference.slo?.[name]);
  if (missing) fail(`--reference ${path}: no thresholds for the class ${missing.name}`);
  return reference;
}

function parseWords(words) {
  try {
    return parseArgs({ args: words, options: flags }).values;
  } catch (error) {
    return fail(error.message);
  }
}

/** The words of the command line as {options, workload, reference}; throws an error that says which
 *  flag is wrong, its property `usage` being true. */
export function parseFlags(words) {
  const values = parseWords(words);
  const asked = values.workload ? readWorkload(values.workload) : defaultWorkload;
  const workload = values['no-priorities'] ? withoutPriorities(asked) : asked;
  const models = values.pipeline ? [values.pipeline] : modelsOf(workload);
  const options = {
    name: values.name, out: values.out, pipeline: values.pipeline, banned: parseIds(values.ban),
    urlOf: parseUrls(values.url, models), models,
    pids: values.pid.map((pid) => whole(pid, 'pid', 1)),
    loads: values.loads.split(',').map((load) => number(load, 'loads', 1)),
    kinds: parseKinds(values.kinds),
    seconds: number(values.seconds, 'seconds', 1), seed: whole(values.seed, 'seed', 0),
    capacity: optional(values.capacity, 'capacity', 0.001),
    capacitySeconds: number(values['capacity-seconds'], 'capacity-seconds', 1),
    users: whole(values.users, 'users', 1), idle: whole(values.idle, 'idle', 1),
    sloFactor: number(values['slo-factor'], 'slo-factor', 1),
    slo: parseSlo(values, workload.classes),
    deadline: number(values.deadline, 'deadline', 1),
  };
  const reference = values.reference ? readReference(values.reference, workload.classes) : null;
  return { options, workload, reference };
}
