"""What a pool in hosts does per second, and what it says that it will do. For scripts/hosts measure."""

import http.client
import json
import os
import random
import subprocess
import time

from hosted_pool import API_PORT, HostedPool, PoolError, wait_for

ANSWER_SECONDS = 600
THREADS = "1"  # of the coordinator: its workers need the other processors
# Shares follow what is measured of the workers soon after they have said it.
SETTLED_SECONDS = 6


def ask(pool, prompt, generate, seed):
    """One answer to token ids that are in no prefix cache; its timings."""
    connection = http.client.HTTPConnection("127.0.0.1", API_PORT)
    connection.sock = pool.hosts.connect("coordinator", ("127.0.0.1", API_PORT), timeout=ANSWER_SECONDS)
    # Random tokens: greedy ones of a model without sense repeat themselves.
    body = {"prompt": prompt, "max_tokens": generate, "temperature": 1.0, "seed": seed, "top_k": 0,
            "top_p": 1.0, "min_p": 0.0, "ignore_eos": True}
    try:
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise PoolError(f"status {answer.status}: {text[:300]}")
        return json.loads(text)["timings"]
    finally:
        connection.close()


def in_pool(pool, *arguments):
    """What `potluck ARGUMENTS --json` says about the pool."""
    environment = {**os.environ, "POTLUCK_HOME": str(pool.home / "coordinator"), "POTLUCK_THREADS": THREADS}
    done = pool.hosts.run("coordinator", [pool.binary, *arguments, "--json"], env=environment,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PoolError(f"{arguments[0]}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def vocabulary(binary, model):
    done = subprocess.run([binary, "show", model, "--json"], capture_output=True, check=True)
    return json.loads(done.stdout)["vocabulary"]


class Rates:
    """Tokens per second of an open pool."""

    def __init__(self, pool, prompt=128, generate=48):
        self.pool, self.prompt, self.generate = pool, prompt, generate
        self.random = random.Random(1)
        self.vocabulary = vocabulary(pool.binary, pool.model)
        self.prefill, self.decode, self.hits = [], [], []
        self.counted = []  # what the counters have grown by, of each round

    def tokens(self, count):
        return [self.random.randrange(self.vocabulary) for _ in range(count)]

    def warm_up(self, rows=512):
        """Fills caches, lets the coordinator see its workers work, and waits until it has settled."""
        ask(self.pool, self.tokens(rows), self.generate, 1)
        ask(self.pool, self.tokens(self.prompt), self.generate, 2)
        time.sleep(SETTLED_SECONDS)
        self.pool.wait_ready()
        ask(self.pool, self.tokens(self.prompt), self.generate, 3)

    def round(self):
        before = self.counters()
        timings = ask(self.pool, self.tokens(self.prompt), self.generate, self.random.randrange(1 << 30))
        after = self.counters()
        self.prefill.append(timings["prompt_per_second"])
        # The first token of an answer is the prompt's work.
        self.decode.append(1e3 * (timings["predicted_n"] - 1) / timings["predicted_ms"])
        grown = {key: after[key] - before[key] for key in after}
        self.counted.append(grown)
        self.hits.append(grown["cache_hits"] / max(1, grown["cache_hits"] + grown["cache_misses"]))

    def counters(self):
        time.sleep(1.2)  # the status is written once a second
        return in_pool(self.pool, "status")["counters"]

    def plan(self):
        return in_pool(self.pool, "plan", self.pool.model, "--prefill-chunk", str(self.prompt))


def open_pool(made, binary, model, home, serve, own):
    """Workers have the model's file: nothing is fetched over slow links. Started twice: a disk is measured
    on what is stored there."""
    for last in (False, True):
        pool = HostedPool(made, binary, model, home, made.names[1:], ["--threads", THREADS, *serve],
                          ["--model", model], own)
        try:
            pool.open()
            wait_for(lambda pool=pool, last=last: all_measured(pool, last), "workers that know their speed",
                     step=0.5)
        except BaseException:
            pool.close()
            raise
        if not last:
            pool.close()
    return pool


def all_measured(pool, disks):
    """Who is left out has nothing stored, and no disk is measured there."""
    def measured(worker):
        facts = worker["facts"]
        disk = not disks or worker["left_out"] or facts.get("disk_bytes_per_second")
        return facts.get("products") and disk
    workers = in_pool(pool, "status")["workers"]
    return len(workers) == len(pool.workers) and all(map(measured, workers))
