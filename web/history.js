// What changed between reports of the pool: rates, and where time went. Keeps two minutes.

const KEPT_SECONDS = 120;
// One second has few tokens of a slow pool: rates are taken over some.
const SMOOTHED = 4;

function delta(after, before, name) {
  return Math.max(0, (after[name] ?? 0) - (before[name] ?? 0));
}

// The parts of an interval, in seconds: what the workers computed and read, the way to them and back,
// and the rest, which the coordinator needs itself while it answers.
export function split(after, before, seconds, busy) {
  const ns = (name) => delta(after, before, name) / 1e9;
  const local = ns("layer_local_ns");
  const wait = Math.max(0, ns("layer_wait_ns") - local);
  const computed = ns("compute_ns");
  const read = ns("disk_ns");
  // The slowest worker of each layer is what one waits for; workers' own times are sums.
  const slowest = Math.min(wait, ns("slowest_compute_ns"));
  const disk = Math.min(Math.max(0, wait - slowest), computed > 0 ? slowest * read / computed : 0);
  const wire = Math.max(0, wait - slowest - disk);
  const known = wire + disk + slowest + local;
  return {attention: busy ? Math.max(0, seconds - known) : 0, wire, disk, compute: slowest + local};
}

export class History {
  constructor() {
    this.reports = [];
    this.points = [];  // {at, rate, attention, wire, disk, compute}: parts of a second each
  }

  add({pool, service}) {
    if (!pool) return;
    const report = {at: pool.steady_seconds, counters: pool.counters, tokens: service.answer_tokens,
                    busy: service.requests_running > 0};
    const last = this.reports.at(-1);
    if (last && report.at <= last.at) {  // the coordinator started anew
      if (report.at < last.at) Object.assign(this, {reports: [], points: []});
      else return;
    }
    this.reports.push(report);
    while (this.reports[0].at < report.at - KEPT_SECONDS) this.reports.shift();
    if (this.reports.length < 2) return;
    const before = this.reports.at(-2);
    const base = this.reports.at(-1 - Math.min(SMOOTHED, this.reports.length - 1));
    const seconds = report.at - before.at;
    const tokens = report.tokens - base.tokens;
    const parts = split(report.counters, before.counters, seconds, report.busy || before.busy ||
                        report.tokens > before.tokens);
    // Workers' clocks and ours do not begin a second together: no second has more than one.
    const whole = Math.max(seconds, Object.values(parts).reduce((sum, part) => sum + part, 0));
    for (const name of Object.keys(parts)) parts[name] /= whole;
    this.points.push({at: report.at, rate: Math.max(0, tokens) / (report.at - base.at), ...parts});
    while (this.points[0].at < report.at - KEPT_SECONDS) this.points.shift();
  }

  get rate() {
    return this.points.at(-1)?.rate ?? 0;
  }

  // Of the last seconds in which anything was done: parts that add up to 1, or null.
  shares() {
    const sum = {attention: 0, wire: 0, disk: 0, compute: 0};
    for (const point of this.points.slice(-30)) {
      for (const name of Object.keys(sum)) sum[name] += point[name];
    }
    const all = Object.values(sum).reduce((a, b) => a + b, 0);
    if (all <= 0) return null;
    for (const name of Object.keys(sum)) sum[name] /= all;
    return sum;
  }

  static get seconds() {
    return KEPT_SECONDS;
  }
}
