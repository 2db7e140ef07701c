// An open-loop load on servers of OpenAI's API: requests that are chains of calls over several
// models arrive when they are due, at shares of a measured capacity. Prints tables, writes JSON.
// slo.sh beside this file starts the servers, runs this for each system and compares them.
//
//   node arrivals.mjs --url URL [--url MODEL=URL]... [--name ours] [--out FILE.json]
//                     [--loads 50,80,100,150] [--kinds poisson,bursty] [--seconds 15] [--seed 1]
//                     [--reference FILE.json | --capacity N] [--capacity-seconds 15] [--users 16]
//                     [--idle 8] [--slo-factor 5] [--slo-ttft MS] [--slo-total MS]
//                     [--deadline 60] [--workload FILE.json] [--no-priorities] [--pipeline ID]
//                     [--ban FIRST-LAST] [--pid N]...
//
// --url: of all models, or with MODEL= of one of them. --pid: the server's processes, to watch.
// --reference: what this wrote of another system; its capacity and thresholds are used, so that
//   both get the same load and are judged alike. Otherwise the capacity is measured here (closed
//   loop of --users), and the thresholds are --slo-factor times the median of --idle requests of
//   each class that are alone, unless --slo-ttft and --slo-total give them for all classes.
// --ban: ids of tokens that may not come.
// --deadline: seconds after which a user gives up; that counts as failed.
import { writeFileSync } from 'node:fs';

import { measureAlone, measureCapacity, measureCell } from './measurement.mjs';
import { parseFlags } from './arrivals_flags.mjs';
import { loadAverage } from './process_usage.mjs';
import { markdown } from './report.mjs';
import { sloFromIdle } from './statistics.mjs';

async function main() {
  const { options, workload, reference } = parseFlags(process.argv.slice(2));
  const tell = (text) => console.error(`arrivals: ${options.name}: ${text}`);
  const classes = workload.classes.map(({ name }) => name);

  const result = {
    system: options.name, date: new Date().toISOString(), seed: options.seed, classes, workload,
    users: options.users, deadlineSeconds: options.deadline, loadAverage: loadAverage(),
  };
  result.idle = await measureAlone(workload, options);
  result.ownCapacity = await measureCapacity(workload, options);
  tell(`alone ${classes.map((name) => `${name} ${result.idle[name].totalMs.p50?.toFixed(0)} ms`)
      .join(', ')}; capacity ${result.ownCapacity.perSecond.toFixed(2)} requests/s`);
  result.capacityPerSecond =
      options.capacity ?? reference?.capacityPerSecond ?? result.ownCapacity.perSecond;
  result.slo = options.slo ?? reference?.slo ?? sloFromIdle(result.idle, options.sloFactor);

  result.cells = [];
  for (const kind of options.kinds) {
    for (const percent of options.loads) {
      const cell = await measureCell(
          { kind, percent, rate: result.capacityPerSecond * percent / 100, slo: result.slo },
          workload, options);
      tell(`${kind} ${percent} %: ${cell.all.completed} of ${cell.all.arrivals} completed, ` +
           `${cell.all.refused} refused, ${cell.all.failed} failed`);
      result.cells.push(cell);
      // After each load, so that a run that is broken off leaves what it measured.
      if (options.out) writeFileSync(options.out, JSON.stringify(result));
    }
  }
  console.log(markdown([result]));
}

main().catch((error) => {
  console.error(`arrivals: ${error.message}`);
  process.exit(error.usage ? 2 : 1);
});
