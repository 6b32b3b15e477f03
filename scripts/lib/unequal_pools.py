"""What unequal devices make of a pool: disks of different speed, one slow device, and the coordinator's
own memory. Arms alternate; every arm is a pool of its own."""

import dataclasses
import pathlib
import tempfile

import hosts
from pool_rates import Rates, open_pool
from ratios import load_line, spread


@dataclasses.dataclass(frozen=True)
class Arm:
    name: str
    own: dict  # what each worker joins with, by name
    serve: tuple = ()


def decode_rate(options, binary, arm):
    """Tokens per second of one pool; the part of its lookups that were in memory; what it expected of
    itself, and the shares that it would give."""
    with tempfile.TemporaryDirectory(prefix="potluck-hosts-pools-") as home:
        link = hosts.Link.between(options.delay_ms, options.rate_mbit)
        with hosts.Hosts(["coordinator", *arm.own], link) as made:
            pool = open_pool(made, binary, options.model, pathlib.Path(home), arm.serve, arm.own)
            try:
                rates = Rates(pool, prompt=options.prompt, generate=options.generate)
                rates.warm_up(options.prompt)
                rates.round()
                plan = rates.plan()
            finally:
                pool.close()
    shares = " ".join(f"{device['share']:.2f}" for device in plan["devices"])
    return rates.decode[0], (f"{100 * rates.hits[0]:.0f} % in memory, planned "
                             f"{plan['decode']['tokens_per_second']:.2f} with shares {shares}")


def alternate(options, binary, arms):
    """Rates of each arm, round by round."""
    table = {arm.name: [] for arm in arms}
    for number in range(options.rounds):
        for arm in arms if number % 2 == 0 else reversed(arms):
            rate, more = decode_rate(options, binary, arm)
            table[arm.name].append(rate)
            print(f"  {number + 1}: {arm.name}: {rate:.2f} tokens/s, {more}", flush=True)
    return table


def disks(options, binary):
    """Disks of 1, 2, 4 and 8 units of speed: together beside the sum of what each does alone with the
    same memory behind it."""
    unit, ram = options.disk_unit, options.ram
    speeds = [1, 2, 4, 8]

    def worker(speed):
        return ["--sim-disk", f"{unit * speed:g}MB/s", "--ram", f"{ram}MiB"]
    together = Arm("together", {f"worker{i + 1}": worker(s) for i, s in enumerate(speeds)},
                   ("--slices", str(options.slices)))
    # Alone, with the memory of all four: only the disk is another one.
    alone = [Arm(f"alone {s}", {"worker1": ["--sim-disk", f"{unit * s:g}MB/s", "--ram", f"{4 * ram}MiB"]},
                 ("--slices", str(options.slices))) for s in speeds]
    table = alternate(options, binary, [together, *alone])
    sums = [sum(table[arm.name][i] for arm in alone) for i in range(options.rounds)]
    ratios = [rate / total for rate, total in zip(table["together"], sums)]
    for name, rates in table.items():
        print(f"{name:<10} {spread(rates)} tokens/s")
    print(f"of the sum {spread(ratios)}")


def slow_device(options, binary):
    """Three workers, and the same with a fourth that is ten times slower."""
    others = {f"worker{i + 1}": ["--sim-compute", "6", "--ram", "1GiB"] for i in range(3)}
    slow = {"worker4": ["--sim-compute", "60", "--ram", "1GiB"]}
    serve = ("--slices", str(options.slices))
    table = alternate(options, binary, [Arm("without", others, serve), Arm("with", {**others, **slow}, serve)])
    ratios = [b / a for a, b in zip(table["without"], table["with"])]
    print(f"without {spread(table['without'])}, with {spread(table['with'])} tokens/s: "
          f"{spread(ratios)}")


def own_experts(options, binary):
    """Two workers whose memory is half of the experts together, and the same with as much memory of the
    coordinator's."""
    half = options.own_mib // 2
    workers = {f"worker{i + 1}": ["--sim-disk", f"{options.disk_unit:g}MB/s", "--sim-compute", "4",
                                  "--ram", f"{half}MiB"] for i in range(2)}
    serve = ("--slices", str(options.slices))
    own = (*serve, "--own-experts", f"{options.own_mib}MiB")
    table = alternate(options, binary, [Arm("without", workers, serve), Arm("with", workers, own)])
    ratios = [b / a for a, b in zip(table["without"], table["with"])]
    print(f"without {spread(table['without'])}, with {spread(table['with'])} tokens/s: "
          f"{spread(ratios)}")


def run(options, binary):
    print(f"{load_line()}; {options.rounds} rounds; decode, median (min-max)")
    {"disks": disks, "slow": slow_device, "own": own_experts}[options.what](options, binary)
    print(load_line())
    return 0
