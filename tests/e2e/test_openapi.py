"""What docs/openapi.json says of answers is true of the server's own, /metrics is what Prometheus reads and complete,
and every metric of docs/grafana-dashboard.json is there. Schemas are checked with python3-jsonschema (Debian)."""

import http.client
import json
import re
import time
import unittest

from pool_support import PoolTest
from support import PATIENCE_SECONDS, ROOT, wait_for

try:
    import jsonschema
except ImportError:
    jsonschema = None

CHAT = {"messages": [{"role": "user", "content": "Tell me a story."}], "max_tokens": 4, "temperature": 0}
HOSTILE = 'ki"t\\chen'
NAME = re.compile(r"potluck_[a-z0-9_]+")

# Of /api/pool: where a number has a metric of another name, or is none that is measured.
RENAMED = {
    "service.requests_running": "num_requests_running", "service.requests_waiting": "num_requests_waiting",
    "service.requests_done": "requests_done_total", "service.prompt_tokens": "prompt_tokens_total",
    "service.cached_tokens": "prompt_tokens_cached_total", "service.answer_tokens": "answer_tokens_total",
    "service.kv_budget_bytes": "kv_cache_budget_bytes", "service.kv_used_bytes": "kv_cache_used_bytes",
    "service.kv_kept_bytes": "kv_cache_kept_bytes", "service.prefix_queries": "prefix_cache_queries_total",
    "service.prefix_hits": "prefix_cache_hits_total", "service.preemptions": "num_preemptions_total",
    "service.drafted_tokens": "drafted_tokens_total", "service.accepted_tokens": "accepted_tokens_total",
    "service.model.parameters": "model_parameters", "service.model.file_bytes": "model_file_bytes",
    "service.model.context": "model_context_tokens",
    "pool.own_share": "own_share_ratio", "pool.own.ram_bytes": "own_ram_bytes",
    "pool.power.watts": "power_watts", "pool.power.devices": "power_devices",
    "pool.bytes_delivered": "shard_bytes_total", "pool.remote_expert_calls": "expert_calls_total",
    "pool.local_expert_calls": "expert_calls_total", "pool.wire_bytes": "wire_bytes_total",
    "pool.workers_lost": "workers_lost_total",
    "pool.prediction.decode_tokens_per_second": "expected_tokens_per_second",
    "workers.weight": "device_weight", "workers.accused_of_wrong_bytes_by": "device_accusers",
    "workers.health.pause_in_seconds": "device_pausing", "workers.health.use.milliwatts": "device_power_watts",
    "workers.health.use.cache_bytes": "device_cache_limit_bytes",
    "workers.health.use.written_bytes": "device_written_bytes_total",
    "workers.health.use.written_today": "device_written_today_bytes",
    "workers.health.use.writes_per_day": "device_writes_per_day_bytes",
    "workers.health.share_percent": "device_lent_ratio", "workers.health.battery_percent": "device_battery_ratio",
    "workers.health.celsius": "device_celsius", "workers.trust.valid_in_a_row": "device_answers_right_in_a_row",
    "workers.trust.compared": "device_answers_compared_total", "workers.trust.wrong": "device_answers_wrong_total",
    "workers.trust.compared_share": "device_compared_ratio",
    "workers.quarantine.until_unix_seconds": "device_quarantined_until_seconds",
    "workers.fetched.coordinator_bytes": "device_fetched_bytes_total",
    "workers.fetched.file_bytes": "device_fetched_bytes_total", "workers.fetched.peers.bytes": "device_fetched_bytes_total",
    "workers.facts.round_trip_us": "device_round_trip_seconds", "workers.facts.health_percent": "device_health_ratio",
    "workers.facts.products.one_row_bytes_per_second": "device_products_bytes_per_second",
    "workers.facts.products.many_rows_bytes_per_second": "device_products_bytes_per_second",
    "counters.messages": "expert_requests_total", "counters.remote_expert_calls": "expert_calls_total",
    "counters.local_expert_calls": "expert_calls_total", "counters.retries": "expert_requests_failed_total",
    "counters.late_replies": "expert_requests_failed_total", "counters.bad_replies": "expert_requests_failed_total",
    "counters.hedges": "expert_requests_hedged_total", "counters.hedges_won": "expert_hedges_won_total",
    "counters.comparisons": "expert_comparisons_total", "counters.answers_alike": "expert_answers_compared_total",
    "counters.own_checks": "expert_answers_compared_total", "counters.own_check_calls": "expert_own_check_calls_total",
    "counters.wrong_answers": "expert_answers_wrong_total", "counters.slowest_compute_ns": "expert_slowest_seconds_total",
    "counters.gather_ns": "expert_gather_seconds_total", "counters.compute_ns": "expert_compute_seconds_total",
    "counters.disk_ns": "expert_disk_seconds_total", "counters.disk_bytes": "expert_disk_bytes_total",
    "counters.cache_hits": "expert_cache_hits_total", "counters.cache_misses": "expert_cache_misses_total",
    "counters.prefetched_bytes": "expert_prefetched_bytes_total",
    "counters.prefetches_used": "expert_prefetches_used_total",
    "counters.prefetches_wasted": "expert_prefetches_wasted_total",
    "counters.disk_reading_ns": "disk_reading_seconds_total",
}
# Names of things, times at which something was written, and parts of a prediction.
NO_METRIC = re.compile(r"version|pool\.process(_start)?|pool\.written_unix_seconds|pool\.steady_seconds|pool\.map_version|"
                       r"events\.\w+|workers\.number|waiting\.waited_seconds|pool\.prediction\.\w+_seconds|"
                       r"pool\.own\.facts\..*|counters\.workers")


def parse_metrics(text):
    """Metrics by name, each a list of (labels, value), as strictly as the format (Prometheus, text, 0.0.4) allows."""
    assert text.endswith("\n")
    label = r'[a-z_]+="(?:[^"\\\x00-\x1f\x7f]|\\["\\n])*"'
    sample = re.compile(rf"(potluck_[a-z0-9_]+)(\{{{label}(?:,{label})*\}})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
    samples, types, seen, family, helped = {}, {}, set(), None, None
    for line in text[:-1].split("\n"):
        if match := re.fullmatch(r"# HELP (potluck_[a-z0-9_]+) [ -~]+", line):
            helped = match.group(1)
            assert helped not in types, line
        elif match := re.fullmatch(r"# TYPE (potluck_[a-z0-9_]+) (counter|gauge|histogram)", line):
            family = match.group(1)
            assert family == helped and family not in types, line
            types[family] = match.group(2)
            assert (match.group(2) == "counter") == family.endswith("_total"), line
            samples[family.removeprefix("potluck_")] = []
        else:
            match = sample.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            parts = {family} if types[family] != "histogram" else {family + end for end in ("_bucket", "_sum", "_count")}
            assert name in parts, line
            assert (name, labels) not in seen, line
            seen.add((name, labels))
            samples[family.removeprefix("potluck_")].append((labels or "", float(value)))
    return samples


def numbers_of(value, path):
    """The paths of all numbers and truths in a JSON value; members of lists share one."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from numbers_of(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for member in value:
            yield from numbers_of(member, path)
    elif isinstance(value, (int, float)):
        yield path


class OpenApi(PoolTest):
    def open_pool(self):
        self.server, self.out, self.err = self.serve("--ctx", "2048")
        self.port = int(self.err.wait_for(r"listening on http://127\.0\.0\.1:(\d+)/v1").group(1))
        said = self.home / "health.json"
        said.write_text(json.dumps({"percentage": 90, "plugged": "UNPLUGGED", "current": -400000, "voltage": 3900}))
        self.join(self.next_token(self.out), "a", "--name", HOSTILE, "--health-file", said)
        wait_for(self.units_ready, "a device that has its experts")
        self.document = json.loads(self.ask("GET", "/openapi.json")[1])

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        self.addCleanup(connection.close)
        if body is not None:
            headers = {"Content-Type": "application/json", **headers}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer, answer.read() if path != "/api/pool/events" else answer.readline()

    def check(self, schema, value, what):
        with self.subTest(what):
            whole = {**schema, "components": self.document["components"]}
            faults = list(jsonschema.Draft202012Validator(whole).iter_errors(value))
            self.assertEqual([f"{'/'.join(map(str, f.absolute_path))}: {f.message[:300]}" for f in faults], [])

    def schema_of(self, method, path, status, content_type):
        operation = self.document["paths"][path][method.lower()]
        responses = operation["responses"]
        self.assertIn(str(status) if status < 400 else "default", responses, path)
        answer = responses.get(str(status), responses["default"])
        self.assertIn(content_type, answer["content"], f"{method} {path} {status}")
        return answer["content"][content_type]["schema"]

    def conforms(self, method, path, body=None, at=None, expected=200, **headers):
        """Asks, and compares request and answer with what the document says of the route."""
        answer, data = self.ask(method, at or path, body, **headers)
        self.assertEqual(answer.status, expected, (path, data[:500]))
        kind = answer.getheader("Content-Type").split(";")[0]
        schema = self.schema_of(method, path, answer.status, kind)
        operation = self.document["paths"][path][method.lower()]
        if body is not None and expected == 200:
            self.check(operation["requestBody"]["content"]["application/json"]["schema"], body, f"{path}, the request")
        if kind == "application/json":
            values = [json.loads(data)]
        elif kind == "application/x-ndjson":
            values = [json.loads(line) for line in data.splitlines()]
        elif kind == "text/event-stream":
            events = re.findall(rb"^data: (.*)$", data, re.M)
            values = [json.loads(event) for event in events if event != b"[DONE]"]
        else:
            return data
        self.assertTrue(values, path)
        for value in values:
            self.check(schema, value, f"{method} {path} {kind}")
        return values[-1]

    @unittest.skipIf(jsonschema is None, "needs python3-jsonschema")
    def test_answers_are_as_described(self):
        self.open_pool()
        jsonschema.Draft202012Validator.check_schema(
            {"$defs": self.document["components"]["schemas"]})
        for path in ("/health", "/ready", "/v1/models", "/api/version", "/api/tags", "/api/ps", "/openapi.json",
                     "/metrics", "/", "/chat", "/api/pool", "/api/pool/map", "/api/pool/events"):
            self.conforms("GET", path)
        self.conforms("GET", "/web/{file}", at="/web/style.css")
        model = self.conforms("GET", "/v1/models")["data"][0]["id"]
        self.conforms("GET", "/v1/models/{id}", at=f"/v1/models/{model}")
        self.conforms("GET", "/v1/models/{id}", at="/v1/models/no", expected=404)
        self.conforms("POST", "/v1/embeddings", {}, expected=501)
        self.conforms("POST", "/api/show", {})
        streams = {"/v1/chat/completions": CHAT, "/v1/messages": CHAT,
                   "/v1/completions": {"prompt": "The sea", "max_tokens": 4, "logprobs": 2},
                   "/v1/responses": {"input": "Tell me a story.", "max_output_tokens": 4},
                   "/api/chat": {"messages": CHAT["messages"], "options": {"num_predict": 4}},
                   "/api/generate": {"prompt": "The sea", "options": {"num_predict": 4}}}
        for path, body in streams.items():
            self.conforms("POST", path, {**body, "stream": False})
            self.conforms("POST", path, {**body, "stream": True})
            self.conforms("POST", path, {"messages": 7, "prompt": {}, "input": 7}, expected=400)
        self.conforms("POST", "/v1/chat/completions", {**CHAT, "logprobs": True, "top_logprobs": 2, "n": 2})
        kept = self.conforms("POST", "/v1/responses", streams["/v1/responses"])["id"]
        self.conforms("GET", "/v1/responses/{id}", at=f"/v1/responses/{kept}")
        self.conforms("DELETE", "/v1/responses/{id}", at=f"/v1/responses/{kept}")
        self.conforms("DELETE", "/v1/responses/{id}", at=f"/v1/responses/{kept}", expected=404)
        self.conforms("POST", "/v1/messages/count_tokens", {"messages": CHAT["messages"]})
        tokens = self.conforms("POST", "/tokenize", {"content": "The sea"})["tokens"]
        self.conforms("POST", "/detokenize", {"tokens": tokens})
        self.conforms("POST", "/api/pool/invite", {})
        for verb in ("admit", "refuse"):
            self.conforms("POST", f"/api/pool/{verb}", {"code": "0000-0000"}, expected=404)
        device = self.conforms("GET", "/api/pool")["pool"]["devices"][0]["key"]
        self.conforms("POST", "/api/pool/rename", {"device": device, "name": 'an"other\\one'})
        self.conforms("POST", "/api/pool/revoke", {"device": device})

    def test_metrics_are_strict_and_complete(self):
        self.open_pool()
        self.assertEqual(self.ask("POST", "/v1/chat/completions", CHAT)[0].status, 200)
        wait_for(lambda: json.loads(self.ask("GET", "/api/pool")[1])["pool"]["remote_expert_calls"], "counted calls")
        time.sleep(1.1)  # both are a second old at most
        metrics = parse_metrics(self.ask("GET", "/metrics")[1].decode())
        state = json.loads(self.ask("GET", "/api/pool")[1])
        self.assertEqual(state["version"], 1)
        self.assertEqual(json.loads(self.ask("GET", "/api/pool/events")[1].removeprefix(b"data: "))["version"], 1)
        device = metrics["device_ram_bytes"]
        self.assertEqual(len(device), 1)
        self.assertIn(r'device="ki\"t\\chen"', device[0][0])
        parts = {"workers": state["pool"].pop("workers"), "counters": state["pool"].pop("counters"),
                 "events": state["pool"].pop("events"), "waiting": state["pool"].pop("waiting")}
        for worker in parts["workers"]:
            use = worker["health"]["use"]  # 0 where a device does not tell, which has no metric
            worker["health"]["use"] = {name: value for name, value in use.items() if value}
        missing = set()
        for path in {*numbers_of(state, ""), *(n for name, part in parts.items() for n in numbers_of(part, name))}:
            last = path.rsplit(".", 1)[1] if "." in path else path
            by_rule = {f"device_{last}", last} if path.startswith("workers.") else {last, f"{last}_total"}
            if path.startswith("counters.") and last.endswith("_ns"):
                by_rule.add(last.removesuffix("_ns") + "_seconds_total")
            if type(path) is str and not NO_METRIC.fullmatch(path):
                if not ({RENAMED[path]} if path in RENAMED else by_rule) & metrics.keys():
                    missing.add(path)
        known_truths = {"service.model.has_template", "service.model.reasons", "devices.member", "pool.devices.member"}
        self.assertEqual(missing - known_truths, set())

    def test_power_comes_to_joules_for_each_token(self):
        self.open_pool()
        for _ in range(3):
            self.assertEqual(self.ask("POST", "/v1/chat/completions", {**CHAT, "max_tokens": 64})[0].status, 200)

        def told():
            metrics = parse_metrics(self.ask("GET", "/metrics")[1].decode())
            power = json.loads(self.ask("GET", "/api/pool")[1])["pool"]["power"]
            return (metrics, power) if metrics.get("joules_per_token") and power["joules_per_token"] else None
        metrics, power = wait_for(told, "joules for a token")
        self.assertEqual(power["devices"], 1)
        self.assertAlmostEqual(power["watts"], 1.56, 2)  # 0.4 A at 3.9 V
        self.assertEqual(metrics["power_watts"], [("", power["watts"])])
        self.assertEqual(metrics["power_devices"], [("", 1)])
        self.assertGreater(metrics["joules_per_token"][0][1], 0)
        self.assertEqual(json.loads(self.potluck("status", "--json").stdout)["power"]["watts"], power["watts"])
        self.assertIn("1 of 1 devices take 1.6 W", self.potluck("status").stdout)

    def test_the_dashboard_names_what_there_is(self):
        self.open_pool()
        metrics = wait_for(lambda: "potluck_expected_tokens_per_second" in (
            text := self.ask("GET", "/metrics")[1].decode()) and text, "a prediction")
        names = set(parse_metrics(metrics))
        # Not without [[upstream]] tables, not where the model's file is here, and not while nothing is written.
        source = (ROOT / "coordinator/serving/http/service_metrics.cpp").read_text()
        source += (ROOT / "coordinator/cli/pool_metrics.cpp").read_text()
        names |= {name for name in re.findall(r'"((?:upstream|spread|joules)_\w+)"', source)}
        board = json.loads((ROOT / "docs/grafana-dashboard.json").read_text())
        used = set()
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                used |= set(NAME.findall(target["expr"]))
        self.assertGreater(len(used), 40)
        plain = {re.sub(r"_(bucket|sum|count)$", "", name.removeprefix("potluck_")) if
                 name.removeprefix("potluck_") not in names else name.removeprefix("potluck_") for name in used}
        self.assertEqual(plain - names, set())
        places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
        self.assertEqual(len(set(places)), len(places))

    def test_devices_are_told_only_to_those_who_may_see_the_pool(self):
        self.open_pool()
        text = self.ask("GET", "/metrics", Host="rebound.example.org")[1].decode()
        self.assertNotIn("device_", text)
        self.assertIn("potluck_workers{", text)
        self.assertIn("device_", self.ask("GET", "/metrics")[1].decode())


if __name__ == "__main__":
    unittest.main()
