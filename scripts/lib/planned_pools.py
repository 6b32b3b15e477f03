"""Ten different pools, what `potluck plan` predicts of each while it runs, and what it does.

Hosts share this machine's processors, so the workers compute as on slower ones (--sim-compute: they wait
for the rest, and measure themselves so): as many as there are together do no more than one processor's
work. Caches hold everything or less than a token needs, since how random weights use experts says
nothing about the curve of hits that the plan assumes. Links are real ones between network namespaces; disks are real reads that are slowed down."""

import dataclasses
import json
import pathlib
import shutil
import statistics
import tempfile

import hosts
from pool_rates import Rates, open_pool
from ratios import load_line, spread


@dataclasses.dataclass(frozen=True)
class PlannedPool:
    name: str
    workers: int
    delay_ms: float
    rate_mbit: float
    join: tuple = ()
    serve: tuple = ()
    first: tuple = ()  # the first worker, instead of `join`

    def own(self):
        """What each worker joins with."""
        return {f"worker{i + 1}": list(self.first if i == 0 and self.first else self.join)
                for i in range(self.workers)}


def slow(times, *more):
    return ("--sim-compute", str(times), *more)


IN_MEMORY = ("--ram", "1GiB")
POOLS = [
    PlannedPool("1 slow worker", 1, 0.1, 1000, slow(6, *IN_MEMORY)),
    PlannedPool("2, experts whole", 2, 0.25, 1000, slow(8, *IN_MEMORY)),
    PlannedPool("2, 2 slices", 2, 0.25, 1000, slow(8, *IN_MEMORY), ("--slices", "2")),
    PlannedPool("4, 4 slices", 4, 0.25, 1000, slow(16, *IN_MEMORY), ("--slices", "4")),
    PlannedPool("4 far away", 4, 3, 100, slow(4, *IN_MEMORY)),
    PlannedPool("6 on Wi-Fi", 6, 3, 200, slow(16, *IN_MEMORY)),
    PlannedPool("3 at half speed (--max-cpu 50)", 3, 0.25, 1000, slow(8, "--max-cpu", "50", *IN_MEMORY),
                ("--slices", "3")),
    PlannedPool("3, one 5 times slower", 3, 0.25, 1000, slow(8, *IN_MEMORY), (), slow(40, *IN_MEMORY)),
    PlannedPool("2 with disks", 2, 0.25, 1000, slow(2, "--ram", "16MiB", "--sim-disk", "150MB/s"),
                ("--slices", "2")),
    PlannedPool("4 with disks", 4, 0.25, 1000, slow(2, "--ram", "8MiB", "--sim-disk", "60MB/s"),
                ("--slices", "4")),
    PlannedPool("2 and own experts", 2, 0.25, 1000, slow(8, *IN_MEMORY),
                ("--slices", "2", "--own-experts", "150MiB")),
    PlannedPool("3, 2 replicas", 3, 1, 1000, slow(8, *IN_MEMORY), ("--replicas", "2")),
]


@dataclasses.dataclass
class Result:
    pool: PlannedPool
    predicted: dict
    rates: Rates
    # Predicted / measured, of each round.
    decode: list
    prefill: list


def measure(options, binary, wanted):
    with tempfile.TemporaryDirectory(prefix="potluck-hosts-pools-") as home:
        link = hosts.Link.between(wanted.delay_ms, wanted.rate_mbit)
        names = ["coordinator", *wanted.own()]
        with hosts.Hosts(names, link) as made:
            pool = open_pool(made, binary, options.model, pathlib.Path(home), wanted.serve, wanted.own())
            try:
                rates = Rates(pool, generate=options.generate)
                rates.warm_up()
                plan = rates.plan()
                for _ in range(options.rounds):
                    rates.round()
                if options.keep:
                    keep(pathlib.Path(options.keep) / wanted.name, pool, plan, rates)
            finally:
                pool.close()
    decode = [plan["decode"]["tokens_per_second"] / rate for rate in rates.decode]
    prefill = [plan["prefill"]["tokens_per_second"] / rate for rate in rates.prefill]
    return Result(wanted, plan, rates, decode, prefill)


def keep(directory, pool, plan, rates):
    """For another look: POTLUCK_HOME=DIRECTORY potluck plan MODEL .. predicts again from the same facts."""
    (directory / "coordinator").mkdir(parents=True, exist_ok=True)
    shutil.copy(pool.home / "coordinator/coordinator/status.json", directory / "coordinator/status.json")
    measured = {"plan": plan, "decode": rates.decode, "prefill": rates.prefill, "hits": rates.hits,
                "counted": rates.counted}
    (directory / "measured.json").write_text(json.dumps(measured, indent=1))


def terms(phase):
    return " + ".join(f"{1e3 * phase[key]:.1f}" for key in
                      ("attention_seconds", "wire_seconds", "products_seconds", "disk_seconds"))


def run(options, binary):
    results = []
    print(f"{load_line()}; {options.rounds} rounds; tokens/s: median (min-max)")
    print("| pool | predicted | measured | ratio | prompts predicted | measured | ratio |")
    print("|---|---:|---|---|---:|---|---|")
    for wanted in POOLS:
        if options.only and not any(word in wanted.name for word in options.only):
            continue
        result = measure(options, binary, wanted)
        results.append(result)
        plan = result.predicted
        print(f"| {wanted.name}; {wanted.delay_ms:g} ms, {wanted.rate_mbit:g} Mbit/s "
              f"| {plan['decode']['tokens_per_second']:.1f} | {spread(result.rates.decode, 1)} "
              f"| {spread(result.decode)} | {plan['prefill']['tokens_per_second']:.0f} "
              f"| {spread(result.rates.prefill, 0)} | {spread(result.prefill)} |", flush=True)
        if options.verbose:
            print(f"    decode ms {terms(plan['decode'])} (attention, wire, products, disk), measured "
                  f"{1e3 / statistics.median(result.rates.decode):.1f}; prefill ms {terms(plan['prefill'])}, measured "
                  f"{1e3 * result.rates.prompt / statistics.median(result.rates.prefill):.1f}; hits {spread(result.rates.hits)}; "
                  f"shares {[round(d['share'], 3) for d in plan['devices']]}")
            for device in plan["devices"]:
                print(f"      {device['name']} {device['left_out']} {device['facts']}", flush=True)
    for what in ("decode", "prefill"):
        ratios = [statistics.median(getattr(result, what)) for result in results]
        good = sum(1 for ratio in ratios if 1 / 1.15 <= ratio <= 1.15)
        print(f"{what}: {good} of {len(ratios)} within 15 %, ratios {spread(ratios)}")
    print(load_line())
    return 0
