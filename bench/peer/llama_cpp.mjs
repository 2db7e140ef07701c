// Prefill and decode of llama.cpp on CPU, through node-llama-cpp, the way `neuros bench` measures them:
// a random prompt of 512 tokens, then 64 tokens one by one from an almost empty context, best of three.
// Usage: node llama_cpp.mjs MODEL.gguf [THREADS]   (npm install in this folder first)
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const [file, threadsText = "2"] = process.argv.slice(2);
const threads = Number(threadsText);
const promptTokens = 512;
const generated = 64;
const repeats = 3;

const llama = await getLlama({
  gpu: false,
  build: "never",
  logLevel: LlamaLogLevel.error,
  maxThreads: threads,
});
const model = await llama.loadModel({ modelPath: file });
const context = await model.createContext({
  contextSize: 768,
  batchSize: promptTokens,
  threads,
  flashAttention: true,
});
const randomTokens = (count) => Array.from({ length: count }, () => Math.floor(Math.random() * 250));
const secondsSince = (start) => (performance.now() - start) / 1e3;

let prefill = 0;
let decode = 0;
const sequence = context.getSequence();
await sequence.evaluateWithoutGeneratingNewTokens(randomTokens(32));
for (let repeat = 0; repeat < repeats; ++repeat) {
  await sequence.clearHistory();
  let start = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(randomTokens(promptTokens));
  prefill = Math.max(prefill, promptTokens / secondsSince(start));
  await sequence.clearHistory();
  let count = 0;
  for await (const _ of sequence.evaluate(randomTokens(1), { temperature: 0, yieldEogToken: true })) {
    if (count++ === 0) start = performance.now();
    if (count > generated) break;
  }
  decode = Math.max(decode, generated / secondsSince(start));
}
console.log(JSON.stringify({ file, threads, prefill, decode }));
process.exit(0);
