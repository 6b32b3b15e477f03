#include "simulator/expert_routes.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "engine/base/limits.h"

namespace potluck::sim {
namespace {

// A trace is read whole.
constexpr size_t kTraceTokens = 100'000;
// Columns that are read: turn, phase, step, layer, slot, expert.
constexpr size_t kTraceColumns = 6;
// Draws for one expert: two of a handful are rarely the same.
constexpr uint64_t kDraws = 64;

Error at_trace_line(const std::string& path, size_t line, const std::string& what) {
  return {ErrorCode::kInvalidArgument, fmt::format("{}:{}: {}", path, line, what)};
}

bool read_number(std::string_view text, uint64_t most, uint64_t* number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && *number <= most;
}

bool read_columns(std::string_view line, uint64_t (&columns)[kTraceColumns]) {
  for (size_t i = 0; i < kTraceColumns; ++i) {
    size_t comma = line.find(',');
    if (comma == std::string_view::npos && i + 1 < kTraceColumns) return false;
    if (!read_number(line.substr(0, comma), limits::kContext, &columns[i])) return false;
    line.remove_prefix(comma == std::string_view::npos ? line.size() : comma + 1);
  }
  return true;
}

void read_comment(std::string_view line, RouteTrace* trace) {
  constexpr std::string_view kKey = "n_expert=";
  size_t at = line.find(kKey);
  if (at == std::string_view::npos) return;
  std::string_view rest = line.substr(at + kKey.size());
  uint64_t experts = 0;
  if (!read_number(rest.substr(0, rest.find(' ')), limits::kExperts, &experts)) return;
  trace->experts = static_cast<uint32_t>(experts);
}

}  // namespace

Result<RouteTrace> read_route_trace(const std::string& path, std::string_view text) {
  RouteTrace trace;
  uint64_t last_step = ~uint64_t{0};
  bool names_seen = false;
  for (size_t number = 1; !text.empty(); ++number) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.starts_with('#')) {
      read_comment(line, &trace);
      continue;
    }
    if (line.empty() || !std::exchange(names_seen, true)) continue;
    uint64_t columns[kTraceColumns];
    if (!read_columns(line, columns)) {
      return at_trace_line(path, number, "expected turn,phase,step,layer,slot,expert,..");
    }
    uint64_t step = columns[0] << 32 | columns[2];
    if (step != last_step) {
      if (trace.tokens.size() == kTraceTokens) return trace;
      trace.tokens.emplace_back();
    }
    last_step = step;
    if (columns[3] >= limits::kLayers || columns[5] >= limits::kExperts) {
      return at_trace_line(path, number, "no model has so many layers or experts");
    }
    auto& layers = trace.tokens.back();
    if (layers.size() <= columns[3]) layers.resize(columns[3] + 1);
    layers[columns[3]].push_back(static_cast<uint16_t>(columns[5]));
    trace.experts = std::max(trace.experts, static_cast<uint32_t>(columns[5] + 1));
    trace.layers = std::max(trace.layers, static_cast<uint32_t>(columns[3] + 1));
  }
  if (trace.tokens.empty()) return at_trace_line(path, 1, "no token is in it");
  return trace;
}

ExpertRoutes::ExpertRoutes(const RouteOptions& options, uint32_t experts, uint32_t top_k,
                           uint64_t seed, const RouteTrace* trace)
    : options_(options), experts_(experts), top_k_(top_k), random_(seed), trace_(trace) {
  double sum = 0;
  for (uint32_t rank = 1; rank <= experts; ++rank) {
    sum += std::pow(rank, -options.skew);
    reach_.push_back(sum);
  }
  for (double& reach : reach_) reach /= sum;
}

// Each layer has an order of popularity of its own: rank r is the expert r * odd + shift.
uint32_t ExpertRoutes::popular(uint64_t token, uint32_t layer, uint64_t draw) const {
  double uniform = random_.uniform(token, uint64_t{layer} << 32 | draw);
  auto found = std::lower_bound(reach_.begin(), reach_.end(), uniform);
  auto rank = static_cast<uint64_t>(found - reach_.begin());
  uint64_t shift = random_.bits(~uint64_t{0}, layer);
  return static_cast<uint32_t>((std::min<uint64_t>(rank, experts_ - 1) + shift % experts_) %
                               experts_);
}

void ExpertRoutes::add(std::vector<uint32_t>* chosen, uint32_t expert) const {
  bool there = std::find(chosen->begin(), chosen->end(), expert) != chosen->end();
  if (!there && chosen->size() < top_k_) chosen->push_back(expert);
}

const std::vector<uint32_t>& ExpertRoutes::choose(uint64_t token, uint32_t layer) {
  std::vector<uint32_t>& last = last_[layer];
  std::vector<uint32_t> chosen;
  if (trace_ != nullptr) {
    const auto& layers = trace_->tokens[token % trace_->tokens.size()];
    uint32_t stretch = std::max(1u, experts_ / std::max(1u, trace_->experts));
    uint64_t repeat = layer / std::max(1u, trace_->layers);
    uint32_t source = layer % std::max(1u, trace_->layers);
    if (source < layers.size()) {
      for (uint16_t expert : layers[source]) {
        add(&chosen, static_cast<uint32_t>((expert * stretch + repeat) % experts_));
      }
    }
  } else {
    for (size_t i = 0; i < last.size(); ++i) {
      bool again = random_.uniform(token, uint64_t{layer} << 32 | (kDraws + i)) < options_.repeats;
      if (again) add(&chosen, last[i]);
    }
  }
  for (uint64_t draw = 0; draw < kDraws && chosen.size() < top_k_; ++draw) {
    add(&chosen, popular(token, layer, 2 * kDraws + draw));
  }
  for (uint32_t expert = 0; chosen.size() < top_k_; ++expert) add(&chosen, expert);
  last = std::move(chosen);
  return last;
}

std::vector<uint32_t> ExpertRoutes::guess(uint64_t token, uint32_t layer) const {
  auto found = last_.find(layer);
  if (found == last_.end()) return {};
  std::vector<uint32_t> guessed = found->second;
  for (size_t i = 0; i < guessed.size(); ++i) {
    bool right =
        random_.uniform(token, uint64_t{layer} << 32 | (4 * kDraws + i)) < options_.guessed;
    if (!right) guessed[i] = popular(token, layer, 5 * kDraws + i);
  }
  return guessed;
}

}  // namespace potluck::sim
