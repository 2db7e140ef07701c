// Starts the server under test and reads its metrics.
import { execFileSync, spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** What to run: NEUROS_SERVER is a whole command, else NEUROS and NEUROS_MODEL name the parts. */
function command() {
  if (process.env.NEUROS_SERVER) return process.env.NEUROS_SERVER.split(' ');
  const program = process.env.NEUROS ?? path.join(root, 'build/neuros');
  const model = process.env.NEUROS_MODEL ?? path.join(root, 'zoo/assistant/assistant.gguf');
  return [program, 'serve', model, '--port', '0'];
}

/** What `neuros plan` predicts for the model under test; null where the server is another's. */
export function plannedMemory() {
  if (process.env.NEUROS_URL || process.env.NEUROS_SERVER) return null;
  const [program, , model] = command();
  return JSON.parse(execFileSync(program, ['plan', model, '--json'])).memory_bytes;
}

/** A running server: {url, stop}. With NEUROS_URL one that is already there is used. */
export async function startServer() {
  if (process.env.NEUROS_URL) return { url: process.env.NEUROS_URL, stop: async () => 0 };
  const [program, ...args] = command();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
  const url = await new Promise((resolve, reject) => {
    let text = '';
    child.once('error', (error) => reject(new Error(`${program}: ${error.message}`)));
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}: ${text}`)));
    child.stdout.on('data', (chunk) => {
      text += chunk;
      const found = /listening on (http:\/\/\S+)/.exec(text);
      if (found) resolve(found[1]);
    });
  });
  const stop = async () => {
    child.kill('SIGTERM');
    return ended;
  };
  return { url, stop };
}

/** The samples of /metrics as a map from "name{labels}" to number. */
export async function metrics(url, key = '') {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const text = await (await fetch(`${url}/metrics`, { headers })).text();
  const samples = new Map();
  for (const line of text.split('\n')) {
    if (!line || line.startsWith('#')) continue;
    const space = line.lastIndexOf(' ');
    samples.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return samples;
}

/** The sum of all samples of a family whose labels contain `part`. */
export function total(samples, name, part = '') {
  let sum = 0;
  for (const [key, value] of samples) {
    if ((key === name || key.startsWith(`${name}{`)) && key.includes(part)) sum += value;
  }
  return sum;
}

/** Waits until no process runs or waits; the error says what still does. */
export async function untilIdle(url, seconds = 20, key = '') {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const left = total(await metrics(url, key), 'neuros_processes');
    if (left === 0) return;
    if (Date.now() > deadline) throw new Error(`${left} processes are still there`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
