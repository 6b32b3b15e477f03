"""One pool of many processors gives the tokens of one alone: a coordinator and workers for x86-64, each with
another instruction set, and workers for 64-bit ARM in qemu's emulation, without and with dot and matrix products. All
answers are compared with another worker's or the coordinator's own."""

import json
import os
import pathlib
import platform
import shutil
import unittest

from pool_support import Lines, PoolTest
from support import BINARY, ROOT, TALETELLER, wait_for

ARM_BUILD = pathlib.Path(os.environ.get("POTLUCK_ARM64_BUILD", ROOT / "build/arm64"))
ARM_WORKER = ARM_BUILD / "tests/plain_worker"
ARM_POTLUCK = ARM_BUILD / "potluck"
SYSROOT = ROOT / "build/sysroot-arm64"
EMULATOR = "qemu-aarch64-static"
EMULATED_X86 = "qemu-x86_64-static"
PROMPT = "Once upon a time"
ROOM = "4MiB"
TOKENS = 24  # emulation is slow
PROCESSORS = {"neon": "cortex-a53", "dotprod": "neoverse-n1", "i8mm": "max"}


class MixedProcessors(PoolTest):
    def setUp(self):
        super().setUp()
        if shutil.which(EMULATOR) is None:
            self.skipTest(f"{EMULATOR} is not there: scripts/setup --arm64")

    def need(self, program):
        if not program.exists():
            self.skipTest(f"{program} is not there: scripts/build arm64 {program.name}")

    def start_arm(self, processor, *command):
        return self.start("-L", SYSROOT, "-cpu", processor, *command, binary=EMULATOR)

    def join_arm(self, token, isa, *emulation):
        process = self.start_arm(PROCESSORS[isa], *emulation, ARM_WORKER, token, self.home / isa, isa, isa)
        lines = Lines(process.stderr)
        self.addCleanup(lambda: (self.stop(process), lines.thread.join(5)))
        return lines

    def x86_kernels(self):
        return json.loads(self.potluck("version", "--json").stdout)["kernels"]

    def test_the_tokens_are_those_of_one_alone(self):
        self.need(ARM_WORKER)
        alone = self.report("run", TALETELLER, "--raw", "--ignore-eos", "--temp", "0", "-p", PROMPT, "-n",
                            TOKENS)["text"]
        server, out, err = self.serve("--port", "0", "--slices", "4", "--verify", "all")
        names = [*self.x86_kernels(), *PROCESSORS]
        tokens = []
        for name in names:
            tokens.append(self.next_token(out, tokens))
            if name in PROCESSORS:
                self.join_arm(tokens[-1], name)
            else:
                # So little room that the slow ones are needed, too.
                self.join(tokens[-1], name, "--ram", "64MiB", "--name", name, "--isa", name, "--disk", ROOM)

        def everyone():
            status = self.units_ready()
            return status if status and len(status["workers"]) == len(names) else None
        status = wait_for(everyone, f"the workers {names}")
        self.assertEqual({w["name"] for w in status["workers"] if w["units_assigned"] == 0}, set())
        port = int(err.wait_for(r"http://127\.0\.0\.1:(\d+)").group(1))
        self.assertEqual(self.complete(port), alone)
        status = wait_for(self.status_with_comparisons, "answers of every ARM worker that were compared")
        for worker in status["workers"]:
            self.assertEqual(worker["trust"]["wrong"], 0, worker["name"])

    def status(self):
        """It is written every second, so not with an answer: wait for what that has caused."""
        return json.loads(self.potluck("status", "--json").stdout)

    def status_with_comparisons(self):
        status = self.status()
        compared = {worker["name"]: worker["trust"]["compared"] for worker in status["workers"]}
        return status if min(compared.get(name, 0) for name in PROCESSORS) > 0 else None

    def test_a_machine_alone(self):
        """The last logits and greedy tokens of the emulated program, with every table it has."""
        self.need(ARM_POTLUCK)
        prompt = json.loads((ROOT / "tests/data/arch/qwen3moe/reference.json").read_text())["prompt"]
        path = self.home / "tokens.json"
        path.write_text(json.dumps(prompt))
        arguments = ["eval", ROOT / "tests/data/arch/qwen3moe/model.gguf", "--tokens", path, "--greedy", "8"]
        expected = self.report(*arguments)
        for isa, processor in [("scalar", "cortex-a53"), *PROCESSORS.items()]:
            process = self.start_arm(processor, ARM_POTLUCK, *arguments, "--isa", isa, "--json")
            found = json.loads(process.communicate(timeout=600)[0])
            for part in ("last_logits", "greedy"):
                self.assertEqual(found[part], expected[part], isa)

    def test_large_pages_and_an_old_kernel(self):
        """A system with pages of 16 KiB that calls itself Linux 4.14. The emulator knows no io_uring."""
        self.need(ARM_WORKER)
        alone = self.alone()
        _, out, err = self.serve("--port", "0")
        lines = self.join_arm(self.next_token(out), "dotprod", "-p", "16384", "-r", "4.14.0")
        wait_for(self.units_ready, f"the worker; {lines.text}")
        port = int(err.wait_for(r"http://127\.0\.0\.1:(\d+)").group(1))
        self.assertEqual(self.complete(port), alone)
        wait_for(lambda: self.status()["remote_expert_calls"] > 0, "experts that the worker computed")

    def test_what_old_processors_are_found_to_have(self):
        if platform.machine() != "x86_64" or shutil.which(EMULATED_X86) is None:
            self.skipTest(f"needs x86-64 and {EMULATED_X86}: scripts/setup --arm64")
        for processor, kernels in [("qemu64", ["scalar"]), ("Nehalem", ["scalar", "sse41"]),
                                   ("IvyBridge", ["scalar", "sse41"]), ("Haswell", ["scalar", "sse41", "avx2"])]:
            process = self.start("-cpu", processor, BINARY, "version", "--json", binary=EMULATED_X86)
            found = json.loads(process.communicate(timeout=600)[0])
            self.assertEqual(found["kernels"], kernels, processor)


if __name__ == "__main__":
    unittest.main()
