// Users who ask again as soon as they are answered: what a system can do, and how fast it is alone.
import { setTimeout as sleep } from 'node:timers/promises';

/** A server that refuses at once is not asked again at once. */
const pauseMs = 100;

/**
 * `users` at a time send requests of `next()` by `send(request, originMs)` for `seconds` after a
 * warm-up of a quarter of that; who is refused or failed waits a little. Gives completed requests
 * in a second, counted after the warm-up, and the records of all. What is under way at the end is
 * waited for and not counted.
 */
export async function closedLoop(next, send, { users, seconds }) {
  const countFromMs = performance.now() + seconds * 250;
  const untilMs = countFromMs + seconds * 1000;
  const records = [];
  let completed = 0;
  const user = async () => {
    while (performance.now() < untilMs) {
      const record = await send(next(), performance.now());
      const endMs = performance.now();
      records.push(record);
      if (record.outcome !== 'completed') await sleep(pauseMs);
      else if (endMs >= countFromMs && endMs < untilMs) ++completed;
    }
  };
  await Promise.all(Array.from({ length: users }, user));
  return { perSecond: completed / seconds, records };
}

/** Sends the requests one after the other, alone; gives their records. */
export async function oneByOne(requests, send) {
  const records = [];
  for (const request of requests) records.push(await send(request, performance.now()));
  return records;
}
