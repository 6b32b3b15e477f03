#include "coordinator/cli/answer_summary.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {
namespace {

double per_second(uint64_t count, Duration time) {
  double seconds = in_seconds(time);
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

}  // namespace

std::string answer_summary(const Answer& answer, const ExpertCounters& counters) {
  const GenerationResult& result = answer.result;
  const size_t prompt_tokens = answer.prompt_tokens;
  double tokens = std::max<double>(1, static_cast<double>(prompt_tokens + result.decode_steps));
  std::string line =
      fmt::format("{} tokens, {:.1f} tokens/s (prompt of {}: {:.1f} tokens/s)",
                  result.tokens.size(), per_second(result.decode_steps, result.decode_time),
                  prompt_tokens, per_second(prompt_tokens, result.prefill_time));
  if (counters.workers == 0) return line + ", no workers";
  line += fmt::format(", {} workers", counters.workers);
  if (counters.workers_lost > 0) line += fmt::format(" ({} lost)", counters.workers_lost);
  return line + fmt::format(", {:.1f} round trips and {:.0f} bytes per token",
                            static_cast<double>(counters.dispatch.batches) / tokens,
                            static_cast<double>(counters.wire_bytes) / tokens);
}

}  // namespace potluck
