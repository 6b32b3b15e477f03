"""The command line is a contract: what goes where, exit codes, messages a user can act on."""

import json
import unittest

from support import FIXTURE, TALETELLER, PotluckTest


class CommandLine(PotluckTest):
    def fails(self, code, *arguments, saying):
        done = self.potluck(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        for part in saying:
            self.assertIn(part, done.stderr)

    def test_no_argument_is_help_and_wrong_use(self):
        self.fails(2, saying=["run", "serve", "join"])

    def test_wrong_use(self):
        self.fails(2, "frobnicate", saying=["frobnicate"])
        self.fails(2, "run", TALETELLER, "--no-such-flag", saying=["--no-such-flag"])
        self.fails(2, "run", TALETELLER, "-p", "x", "--threads", "many", saying=["threads"])
        self.fails(2, "run", TALETELLER, "-p", "x", "--slices", "0", saying=["--slices", "1 to"])
        self.fails(2, "run", TALETELLER, "-p", "x", "--temp", "-1", saying=["--temp", "0 to"])
        self.fails(2, "run", TALETELLER, "-p", "x", "--isa", "abacus", saying=["abacus", "scalar"])
        self.fails(2, "run", TALETELLER, "-p", "x", "--ram", "lots", saying=["--ram", "lots"])
        for address in ["", "7700", "192.168.1.10", "::1:7700", "nowhere.invalid:7700", "eth77:7700",
                        "127.0.0.1:77000", "127.1:7700", "[::1:7700", "127.0.0.1:-1"]:
            self.fails(2, "serve", TALETELLER, f"--listen={address}", saying=["--listen"])
        run = ["run", TALETELLER, "-p", "x"]
        self.fails(2, *run, "--reader", "mmap", saying=["--reader", "io_uring", "mmap"])
        self.fails(2, *run, "--read-depth", "1000", saying=["--read-depth", "0 to"])
        self.fails(2, *run, "--sim-disk", "fast", saying=["--sim-disk", "fast"])
        self.fails(2, *run, "--sim-disk", "0MB/s", saying=["--sim-disk", "at least"])
        self.fails(2, *run, "--sim-link", "3ms,1MB/s", saying=["--sim-link", "--workers"])
        self.fails(2, *run, "--sim-compute", "2", saying=["--sim-compute", "--workers"])
        self.fails(2, "join", "x", "--sim-link", "3ms", saying=["--sim-link", "DELAY,RATE"])
        self.fails(2, "join", "x", "--sim-link", "3h,1MB/s", saying=["--sim-link", "3h"])
        self.fails(2, "join", "x", "--sim-compute", "0.5", saying=["--sim-compute", "1 to"])
        self.fails(2, "join", "potluck1.garbage", saying=["token"])

    def test_help_is_not_an_error(self):
        done = self.potluck("run", "--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("--workers", done.stdout)

    def test_bad_files_are_named(self):
        self.fails(1, "run", "/no/such/model.gguf", "-p", "x", saying=["/no/such/model.gguf"])
        garbage = self.home / "garbage.gguf"
        garbage.write_bytes(b"this is no model" * 100)
        self.fails(1, "run", garbage, "-p", "x", saying=["garbage.gguf", "GGUF"])
        whole = TALETELLER.read_bytes()
        for size in (0, 3, 24, 100_000, len(whole) // 2, len(whole) - 1):
            cut = self.home / "cut.gguf"
            cut.write_bytes(whole[:size])
            self.fails(1, "run", cut, "-p", "x", saying=["cut.gguf"])

    def test_token_files_are_checked(self):
        for text in ("", "{}", "[]", "[1, -2]", "[1, 99999999999]", '["a"]', "[1, 500000]"):
            path = self.home / "tokens.json"
            path.write_text(text)
            done = self.potluck("eval", FIXTURE / "model.gguf", "--tokens", path)
            self.assertNotEqual(done.returncode, 0, text)
            self.assertNotEqual(done.stderr, "", text)
            self.assertEqual(done.stdout, "")

    def test_output_is_the_text_alone(self):
        arguments = ["run", TALETELLER, "--raw", "-p", "Once upon a time", "-n", "24",
                     "--temp", "0"]
        plain = self.potluck(*arguments)
        self.assertEqual(plain.returncode, 0, plain.stderr)
        self.assertIn("tokens/s", plain.stderr)
        quiet = self.potluck(*arguments, "--quiet")
        self.assertEqual(quiet.stderr, "")
        report = self.report(*arguments)
        self.assertEqual(plain.stdout, report["text"])
        self.assertEqual(quiet.stdout, report["text"])
        self.assertEqual(len(report["tokens"]), 24)
        self.assertEqual(report["finish_reason"], "length")
        self.assertEqual((report["workers"], report["remote_expert_calls"]), (0, 0))

    def test_seeds_repeat(self):
        arguments = ["run", TALETELLER, "-p", "The old man", "-n", "32"]
        first = self.report(*arguments, "--seed", "7")
        again = self.report(*arguments, "--seed", "7")
        other = self.report(*arguments, "--seed", "8")
        self.assertEqual(first["text"], again["text"])
        self.assertNotEqual(first["text"], other["text"])

    def test_prompt_from_standard_input_is_the_same(self):
        named = self.report("run", TALETELLER, "-p", "The sea", "-n", "8", "--temp", "0")
        process = self.start("run", TALETELLER, "-n", "8", "--temp", "0", "--json", stdin=-1)
        output, _ = process.communicate(b"The sea")
        self.assertEqual(json.loads(output)["text"], named["text"])

    def test_flags_over_environment_over_file(self):
        (self.home / "potluck.toml").write_text("[run]\nprefill-chunk = 0\n")
        arguments = ["run", TALETELLER, "-p", "x", "-n", "1", "--quiet"]
        self.assertEqual(self.potluck(*arguments).returncode, 2)
        self.assertEqual(self.potluck(*arguments, POTLUCK_PREFILL_CHUNK="4").returncode, 0)
        done = self.potluck(*arguments, "--prefill-chunk", "4", POTLUCK_PREFILL_CHUNK="0")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_context_is_computed_and_said(self):
        done = self.potluck("run", TALETELLER, "-p", "Once upon a time", "-n", "2", "--temp", "0",
                            "--ctx", "300", "--kv", "q8_0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("context of 300 positions", done.stderr)
        self.assertIn("in q8_0", done.stderr)
        shown = json.loads(self.potluck("show", TALETELLER, "--json").stdout)
        bytes_of = shown["kv_bytes_per_position"]
        self.assertEqual(bytes_of["f32"], 2 * bytes_of["f16"])
        self.assertEqual(bytes_of["q8_0"] * 64, bytes_of["f16"] * 34)
        self.assertEqual(shown["recurrent_state_bytes"], 0)
        self.fails(1, "run", TALETELLER, "-p", "x", "--ctx", "16000000", "--kv", "f32",
                   saying=["--ctx 16000000", f"{bytes_of['f32']} bytes per position", "would fit"])
        self.fails(1, "run", TALETELLER, "-p", "word " * 400, "--ctx", "100",
                   saying=["prompt has 4", "room for 100", "--ctx"])
        self.fails(2, "run", TALETELLER, "-p", "x", "--kv", "q4", saying=["--kv", "q8_0", "q4"])

    def test_tokenize_show_version(self):
        ids = self.report("tokenize", TALETELLER, "--text", "Once upon a time")
        self.assertEqual(ids, {"ids": [2802, 689, 267, 628]})
        text = self.home / "text"
        text.write_text("Once upon a time")
        self.assertEqual(self.report("tokenize", TALETELLER, "--file", text), ids)
        shown = self.report("show", TALETELLER)
        self.assertEqual(shown["architecture"], "qwen3moe")
        self.assertEqual(shown["experts"]["experts_per_layer"], 24)
        self.assertIn("scalar", self.report("version")["kernels"])


class Streaming(PotluckTest):
    def test_prompts_are_read_ahead_and_taken_whole(self):
        def bench(*more):
            return self.report("bench", TALETELLER, "--prompt", "600", "--generate", "4", "--ram", "8MiB",
                               "--store", self.home / "store", *more)

        usual = bench()
        self.assertGreater(usual["prefill_counters"]["prefetched_bytes"], 0)
        self.assertEqual(usual["counters"]["prefetched_bytes"], 0, "one machine guesses nothing for single tokens")
        self.assertGreater(usual["prefill_chunk"], 600)
        self.assertEqual(bench("--prefetch", "off")["prefill_counters"]["prefetched_bytes"], 0)
        self.assertGreater(bench("--prefetch", "on")["counters"]["prefetched_bytes"], 0)
        self.assertEqual(bench("--prefill-chunk", "64")["prefill_chunk"], 64)
        in_memory = self.report("bench", TALETELLER, "--prompt", "600", "--generate", "1")
        self.assertEqual(in_memory["prefill_chunk"], 512)


class SimulatedDevices(PotluckTest):
    def test_slow_workers_say_the_same_and_are_reported(self):
        arguments = ["--prompt", "4", "--generate", "4", "--workers", "2"]
        real = self.report("bench", TALETELLER, *arguments)
        self.assertIsNone(real["simulated"])
        self.assertEqual(real["counters"]["workers"], 2)
        self.assertEqual(real["counters"]["round_trips"], 4 * real["round_trips_per_token"])
        slow = self.report("bench", TALETELLER, *arguments, "--sim-link", "20ms,100MB/s",
                           "--sim-compute", "1.5", "--sim-disk", "200MB/s")
        self.assertEqual(slow["simulated"],
                         {"disk_bytes_per_s": 200_000_000, "link_delay_s": 0.02,
                          "link_bytes_per_s": 100_000_000, "compute_factor": 1.5})
        # Every round trip crosses the link twice.
        least = slow["round_trips_per_token"] * 2 * 0.02
        self.assertGreater(1 / slow["decode_tokens_per_s"], least)
        generation = ["run", TALETELLER, "-p", "Once", "-n", "6", "--temp", "0"]
        far = self.report(*generation, "--workers", "2", "--sim-link", "5ms,100MB/s")
        self.assertEqual(far["tokens"], self.report(*generation)["tokens"])
        self.assertGreater(far["remote_expert_calls"], 0)


if __name__ == "__main__":
    unittest.main()
