// Requests sent when they are due, whatever became of those before.
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Calls `send(request, originMs)` at each request's time `at` (seconds), `originMs` being when it
 * was due: latencies from there hide no waiting of the client itself. Gives the results in the
 * order of the requests once all of them have come.
 */
export async function openLoop(requests, send) {
  const beginMs = performance.now();
  const underWay = [];
  for (const request of requests) {
    const originMs = beginMs + request.at * 1000;
    const early = originMs - performance.now();
    if (early > 0) await sleep(early);
    underWay.push(send(request, originMs));
  }
  return Promise.all(underWay);
}
