"""What happens to pools: each fault is one function that makes it and mends it again, and tells when
everyone was reachable again. Used by tests/e2e/test_host_faults.py and `scripts/hosts measure faults`."""

import dataclasses
import signal
import time

from hosted_pool import wait_for

# Beyond that, what a silent device held has been given to others.
LOST_AFTER = 4.0
# A device that was away so briefly is not missed; until nothing more can follow from it.
SETTLED = 2.0


@dataclasses.dataclass
class Outcome:
    name: str
    back: float  # seconds from being reachable again until all units are ready
    gap: float  # the longest pause between two tokens, from the fault until then
    usual: float  # the usual one
    cut_off: int  # answers that ended with the fault


def end_and_start(pool, worker, number):
    """Ended by a signal, and started again once it is missed."""
    pool.end(worker, number)
    pool.wait_lost()
    reachable = time.monotonic()
    pool.start_worker(worker)
    return reachable


def kill(pool, worker):
    return end_and_start(pool, worker, signal.SIGKILL)


def restart(pool, worker):
    """In order: it says goodbye, so it is missed at once."""
    return end_and_start(pool, worker, signal.SIGTERM)


def away(pool, seconds):
    """Waits as long as something is away, and until that is known where it will be."""
    begin = time.monotonic()
    if seconds > LOST_AFTER:
        pool.wait_lost()
    time.sleep(max(0.0, begin + seconds - time.monotonic()))


def freeze(pool, worker, seconds):
    """kill -STOP, and -CONT later."""
    pool.send_signal(worker, signal.SIGSTOP)
    away(pool, seconds)
    pool.send_signal(worker, signal.SIGCONT)
    return time.monotonic()


def link_down(pool, worker, seconds):
    """Nothing comes through, and nobody is told."""
    pool.hosts.link_down(worker)
    away(pool, seconds)
    pool.hosts.link_up(worker)
    return time.monotonic()


def restart_coordinator(pool, seconds):
    """Killed, and started again later: reachable once it listens."""
    pool.end("coordinator", signal.SIGKILL)
    time.sleep(seconds)
    reachable, _ = pool.start_coordinator()
    return reachable


def change_address(pool, worker):
    """The worker's old address is gone."""
    reachable = time.monotonic()
    pool.hosts.change_address(worker)
    return reachable


def make(pool, stream, name, fault, *arguments):
    """Makes a fault while the answer streams, and waits until everyone is back."""
    stream.wait_tokens(20)
    begin = time.monotonic()
    failures, usual = stream.failures, stream.usual_gap(begin)
    reachable = fault(pool, *arguments)
    if fault is change_address:
        # Until the worker is heard from its new address the coordinator knows of nothing.
        pattern = f"{arguments[0]}, .* (greeted again|joined)"
        greeted, _ = wait_for(lambda: pool.log.find(pattern, reachable), "a greeting", 30)
        back = max(greeted - reachable, pool.wait_ready(reachable, 60))
    else:
        if pool.all_ready() is not None and fault is not restart_coordinator:
            time.sleep(SETTLED)
        back = pool.wait_ready(reachable, 60)
    end = max(time.monotonic(), reachable)
    stream.wait_tokens(20)
    return Outcome(name, back, stream.longest_gap(begin, end), usual, stream.failures - failures)
