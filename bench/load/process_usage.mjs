// What processes of this machine have used, from /proc.
import { readFileSync } from 'node:fs';
import os from 'node:os';

const ticksPerSecond = 100;  // USER_HZ, on every Linux that Node runs on

function readOf(pid, name) {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    throw new Error(`process ${pid} of the server is gone`);
  }
}

/** Processor seconds of a process, its threads together. */
function processorSeconds(pid) {
  const stat = readOf(pid, 'stat');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Most bytes of a process that were resident at one time. */
function peakBytes(pid) {
  const line = /^VmHWM:\s+(\d+) kB$/m.exec(readOf(pid, 'status'));
  return Number(line[1]) * 1024;
}

/** Processor seconds that the whole machine spent on anything. */
function machineSeconds() {
  const [line] = readFileSync('/proc/stat', 'utf8').split('\n');
  const [user, nice, system, , , irq, softirq, steal] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) / ticksPerSecond;
}

/** Means over 1, 5 and 15 minutes of processes that ran or wanted to. */
export function loadAverage() {
  return readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3).map(Number);
}

function sample(pids) {
  const { user, system } = process.cpuUsage();
  return { ms: performance.now(), client: (user + system) / 1e6, machine: machineSeconds(),
           servers: pids.reduce((sum, pid) => sum + processorSeconds(pid), 0) };
}

/**
 * Begins to watch; the function it gives ends that and says which share of the machine's processors
 * was used by the processes `pids`, by this client and by `others`, and the peak of resident memory
 * (of several processes: the sum). Null without processes: a server may be on another machine.
 */
export function watch(pids) {
  if (pids.length === 0) return () => null;
  const begin = sample(pids);
  return () => {
    const end = sample(pids);
    const cores = os.cpus().length;
    const available = (end.ms - begin.ms) / 1000 * cores;
    const share = (key) => (end[key] - begin[key]) / available;
    return { cores, servers: share('servers'), client: share('client'),
             others: Math.max(0, share('machine') - share('servers') - share('client')),
             peakBytes: pids.reduce((sum, pid) => sum + peakBytes(pid), 0) };
  };
}
