#include "tests/unit/engine/experts/route_trace.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <list>
#include <optional>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "engine/base/random.h"
#include "engine/base/storage.h"
#include "engine/experts/cache_policy.h"
#include "tests/support/test_files.h"

namespace potluck::test {
namespace {

constexpr uint64_t kNever = UINT64_MAX;

using Line = std::array<uint32_t, 6>;  // turn, phase, step, layer, slot, expert

bool parse_line(const std::string& line, Line* out) {
  const char* at = line.c_str();
  for (uint32_t& field : *out) {
    char* end = nullptr;
    field = static_cast<uint32_t>(std::strtoul(at, &end, 10));
    if (end == at || *end != ',') return false;
    at = end + 1;
  }
  return true;
}

Digest key_of(uint32_t layer, uint32_t expert) {
  Digest digest;
  store(digest.bytes.data(), mix64(uint64_t{layer} << 32 | expert));
  return digest;
}

// The experts in order of use, and when each is used next.
struct Use {
  uint64_t name;
  uint64_t next = kNever;
};

std::vector<Use> uses_of(const RouteTrace& trace) {
  std::vector<Use> uses;
  for (const RouteStep& step : trace.steps) {
    for (uint32_t expert : step.experts) uses.push_back({uint64_t{step.layer} << 32 | expert});
  }
  std::unordered_map<uint64_t, uint64_t> later;
  for (uint64_t i = uses.size(); i > 0; --i) {
    auto [entry, fresh] = later.try_emplace(uses[i - 1].name, i - 1);
    if (!fresh) uses[i - 1].next = std::exchange(entry->second, i - 1);
  }
  return uses;
}

double share(uint64_t hits, uint64_t uses) {
  return static_cast<double>(hits) / static_cast<double>(std::max<uint64_t>(uses, 1));
}

}  // namespace

Result<RouteTrace> read_route_trace(const std::string& path) {
  auto storage = make_system_storage();
  auto text = read_file(*storage, path, 64 * kMiB);
  if (!text) return text.error();
  RouteTrace trace;
  trace.name = path.substr(path.rfind('/') + 1);
  std::string_view rest = as_text(*text);
  std::optional<std::array<uint32_t, 3>> current;
  while (!rest.empty()) {
    std::string line(rest.substr(0, rest.find('\n')));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    Line fields;
    if (!parse_line(line, &fields)) continue;  // comments and the heading
    auto [turn, phase, step, layer, slot, expert] = fields;
    std::array<uint32_t, 3> name = {phase, phase == 0 ? 0 : step, layer};
    if (current != name) trace.steps.push_back({layer, {}});
    current = name;
    std::vector<uint32_t>& experts = trace.steps.back().experts;
    if (std::find(experts.begin(), experts.end(), expert) == experts.end()) {
      experts.push_back(expert);
    }
    trace.layers = std::max(trace.layers, layer + 1);
    trace.experts = std::max(trace.experts, expert + 1);
  }
  if (trace.steps.empty()) return Error{ErrorCode::kCorrupt, path + ": no routes in it"};
  return trace;
}

std::vector<RouteTrace> shared_route_traces() {
  std::string directory = test::shared_path("traces");
  std::vector<RouteTrace> traces;
  for (const char* name : {"gptoss", "gemma", "qwen"}) {
    auto trace = read_route_trace(fmt::format("{}/{}.route.csv", directory, name));
    if (trace) traces.push_back(std::move(*trace));
  }
  return traces;
}

double replay_policy(const RouteTrace& trace, uint64_t entries) {
  CachePolicy policy(entries);
  for (const RouteStep& step : trace.steps) {
    policy.begin_step(step.layer);
    std::vector<Digest> missing;
    for (uint32_t expert : step.experts) {
      Digest key = key_of(step.layer, expert);
      if (!policy.touch(key)) missing.push_back(key);
    }
    for (const Digest& key : missing) {
      if (policy.size() == entries) {
        policy.erase(policy.victim(Want::kNow, [](const Digest&) { return true; }).value());
      }
      policy.admit(key, false);
    }
  }
  const WorkCounters& work = policy.counters().work;
  return share(work.cache_hits, work.cache_hits + work.cache_misses);
}

double replay_lru(const RouteTrace& trace, uint64_t entries) {
  std::list<uint64_t> order;  // most recently used first
  std::unordered_map<uint64_t, std::list<uint64_t>::iterator> cached;
  std::vector<Use> uses = uses_of(trace);
  uint64_t hits = 0;
  for (const Use& use : uses) {
    if (auto found = cached.find(use.name); found != cached.end()) {
      ++hits;
      order.splice(order.begin(), order, found->second);
      continue;
    }
    if (order.size() == entries) {
      cached.erase(order.back());
      order.pop_back();
    }
    order.push_front(use.name);
    cached[use.name] = order.begin();
  }
  return share(hits, uses.size());
}

// Evicts what is used last of all (Belady): no cache that reads what it misses does better.
double replay_clairvoyant(const RouteTrace& trace, uint64_t entries) {
  std::set<std::pair<uint64_t, uint64_t>> order;  // next use, name
  std::unordered_map<uint64_t, uint64_t> cached;  // next use, by name
  std::vector<Use> uses = uses_of(trace);
  uint64_t hits = 0;
  for (const Use& use : uses) {
    if (auto found = cached.find(use.name); found != cached.end()) {
      ++hits;
      order.erase({found->second, use.name});
    } else if (cached.size() == entries) {
      cached.erase(std::prev(order.end())->second);
      order.erase(std::prev(order.end()));
    }
    cached[use.name] = use.next;
    order.insert({use.next, use.name});
  }
  return share(hits, uses.size());
}

}  // namespace potluck::test
