// What a Neuros server counts of sharing and preemption, from its /metrics.
import { metrics, total } from '../../tests/api/server.mjs';

const families = {
  suspensions: 'neuros_suspensions_total',
  passesSuspended: 'neuros_passes_suspended_total',
  memoryTurns: 'neuros_memory_turns_total',
  pagedBytes: 'neuros_pager_bytes_total',
  busySeconds: 'neuros_busy_seconds_total',
  batches: 'neuros_batches_total',
  decodedTokens: 'neuros_decoded_tokens_total',
  prefilledTokens: 'neuros_prefilled_tokens_total',
  reusedTokens: 'neuros_reused_tokens_total',
};

/** The counters now; null where the server is another's. */
export async function readCounters(url) {
  const samples = await metrics(url).catch(() => new Map());
  if (![...samples.keys()].some((key) => key.startsWith('neuros_'))) return null;
  return Object.fromEntries(
      Object.entries(families).map(([name, family]) => [name, total(samples, family)]));
}

/** What was counted between two readings; null if there was none. */
export function countersBetween(before, after) {
  if (!before || !after) return null;
  return Object.fromEntries(Object.keys(before).map((name) => [name, after[name] - before[name]]));
}
