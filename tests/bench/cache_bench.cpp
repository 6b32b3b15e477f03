// Hit rates of the cache policy on routing traces of real models, beside those of plain LRU and of
// a cache that knows the future.
//
//   cache_bench [TRACE.csv...]     without files: ../shared/traces
#include <cstdio>
#include <vector>

#include "tests/unit/engine/experts/route_trace.h"

namespace potluck::test {
namespace {

void report(const RouteTrace& trace) {
  std::printf("%s: %u layers of %u experts\n", trace.name.c_str(), trace.layers, trace.experts);
  std::printf("  in memory     ours      LRU  optimum   ours-LRU\n");
  for (int percent : {5, 10, 25, 50}) {
    uint64_t entries = trace.bank() * static_cast<uint64_t>(percent) / 100;
    double ours = 100 * replay_policy(trace, entries);
    double lru = 100 * replay_lru(trace, entries);
    std::printf("  %8d%% %7.2f%% %7.2f%% %7.2f%% %+9.2f\n", percent, ours, lru,
                100 * replay_clairvoyant(trace, entries), ours - lru);
  }
}

int run(int argc, char** argv) {
  std::vector<RouteTrace> traces;
  for (int i = 1; i < argc; ++i) {
    auto trace = read_route_trace(argv[i]);
    if (!trace) {
      std::fprintf(stderr, "%s\n", trace.error().message.c_str());
      return 1;
    }
    traces.push_back(std::move(*trace));
  }
  if (traces.empty()) traces = shared_route_traces();
  if (traces.empty()) std::fprintf(stderr, "no traces in ../shared/traces, and none named\n");
  for (const RouteTrace& trace : traces) report(trace);
  return traces.empty() ? 1 : 0;
}

}  // namespace
}  // namespace potluck::test

int main(int argc, char** argv) {
  return potluck::test::run(argc, argv);
}
