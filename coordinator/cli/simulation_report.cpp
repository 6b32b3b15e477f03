#include "coordinator/cli/simulation_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/counters_json.h"
#include "engine/base/format_bytes.h"

namespace potluck {
namespace {

// In front of what the coordinator says to its own people.
constexpr std::string_view kOfPool = "  pool: ";
constexpr size_t kEventsShown = 40;
constexpr size_t kLeftOutShown = 12;

double percentile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  auto index = static_cast<size_t>(std::lround(part * static_cast<double>(values.size() - 1)));
  return values[std::min(index, values.size() - 1)];
}

nlohmann::json describe_terms(const sim::ScenarioResult& result) {
  double tokens = std::max<double>(1, static_cast<double>(result.tokens));
  const sim::TimeTerms& sums = result.terms;
  return {{"attention_seconds", in_seconds(sums.attention) / tokens},
          {"wire_seconds", in_seconds(sums.wire) / tokens},
          {"disk_seconds", in_seconds(sums.disk) / tokens},
          {"products_seconds", in_seconds(sums.compute) / tokens}};
}

std::string in_ms(double seconds) {
  return fmt::format("{:.1f} ms", seconds * 1e3);
}

void add_answers(const nlohmann::json& run, std::vector<std::string>* lines) {
  const nlohmann::json& token = run["token"];
  lines->push_back(fmt::format(
      "answers   {:.3g} tokens/s: {} tokens in {:.3f} s; a token usually {}, at most {}",
      run["tokens_per_second"].get<double>(), run["tokens"].get<uint64_t>(),
      run["answering_seconds"].get<double>(), in_ms(run["usual_token_seconds"].get<double>()),
      in_ms(run["slowest_token_seconds"].get<double>())));
  lines->push_back(fmt::format(
      "a token   attention {}, network {}, disks {}, products {}",
      in_ms(token["attention_seconds"].get<double>()), in_ms(token["wire_seconds"].get<double>()),
      in_ms(token["disk_seconds"].get<double>()), in_ms(token["products_seconds"].get<double>())));
  double planned = run["planned_tokens_per_second"].get<double>();
  if (planned > 0) lines->push_back(fmt::format("planned   {:.3g} tokens/s", planned));
}

void add_lost_time(const nlohmann::json& run, std::vector<std::string>* lines) {
  const nlohmann::json& lost = run["lost"];
  if (lost.empty()) return;
  lines->push_back(fmt::format("lost      by {} events: half of them up to {}, 99 of 100 up to {}",
                               lost.size(), in_ms(run["lost_p50_seconds"].get<double>()),
                               in_ms(run["lost_p99_seconds"].get<double>())));
  size_t shown = 0;
  for (const nlohmann::json& event : lost) {
    if (event["seconds"].get<double>() <= 0) continue;
    if (++shown > kEventsShown) break;
    lines->push_back(fmt::format("          {:9.3f} s  {}: {}", event["at_seconds"].get<double>(),
                                 event["what"].get<std::string>(),
                                 in_ms(event["seconds"].get<double>())));
  }
}

void add_left_out(const nlohmann::json& run, std::vector<std::string>* lines) {
  const nlohmann::json& left_out = run["left_out"];
  size_t shown = 0;
  for (const nlohmann::json& device : left_out) {
    if (++shown > kLeftOutShown) {
      lines->push_back(fmt::format("          and {} more", left_out.size() - kLeftOutShown));
      break;
    }
    lines->push_back(fmt::format("left out  {}: {}", device["device"].get<std::string>(),
                                 device["reason"].get<std::string>()));
  }
}

// Of devices with a battery or an owner who allows less.
nlohmann::json describe_days(const sim::ScenarioResult& result) {
  nlohmann::json days = nlohmann::json::array();
  for (const sim::DeviceReport& report : result.days) {
    const double time = std::max(1e-9, in_seconds(report.day.since_start));
    days.push_back({{"device", report.device},
                    {"watched", report.watched},
                    {"lent_share", in_seconds(report.day.lent) / time},
                    {"computed_seconds", in_seconds(report.day.computed)},
                    {"units", report.day.units},
                    {"pauses", report.day.pauses},
                    {"written_bytes", report.day.written_bytes},
                    {"lowest_battery_percent", report.day.lowest_battery}});
  }
  return days;
}

bool any_watched(const nlohmann::json& run) {
  return std::ranges::any_of(run["days"],
                             [](const auto& day) { return day["watched"].template get<bool>(); });
}

void add_days(const nlohmann::json& run, std::vector<std::string>* lines) {
  for (const nlohmann::json& day : run["days"]) {
    if (!day["watched"].get<bool>()) continue;
    lines->push_back(fmt::format(
        "device    {}: lent {:.0f} % of the time, {} pauses, {} units in {:.1f} s, {} written, "
        "battery at {:.0f} % or more",
        day["device"].get<std::string>(), 100 * day["lent_share"].get<double>(),
        day["pauses"].get<uint64_t>(), day["units"].get<uint64_t>(),
        day["computed_seconds"].get<double>(), format_bytes(day["written_bytes"].get<uint64_t>()),
        day["lowest_battery_percent"].get<double>()));
  }
}

}  // namespace

nlohmann::json describe_simulation(const sim::ScenarioResult& result) {
  nlohmann::json lost = nlohmann::json::array();
  std::vector<double> seconds;
  for (const sim::LostTime& event : result.lost) {
    seconds.push_back(in_seconds(event.lost));
    lost.push_back(
        {{"at_seconds", in_seconds(event.at)}, {"what", event.what}, {"seconds", seconds.back()}});
  }
  nlohmann::json left_out = nlohmann::json::array();
  for (const sim::LeftOut& device : result.left_out) {
    left_out.push_back({{"device", device.device}, {"reason", device.reason}});
  }
  return {{"seed", result.seed},
          {"verdict", sim::name_of(result.verdict)},
          {"failure", result.failure},
          {"tokens", result.tokens},
          {"tokens_lost", result.tokens_asked - std::min(result.tokens, result.tokens_asked)},
          {"tokens_per_second", result.rate()},
          {"answering_seconds", in_seconds(result.answering)},
          {"usual_token_seconds", in_seconds(result.usual_token)},
          {"slowest_token_seconds", in_seconds(result.slowest_token)},
          {"token", describe_terms(result)},
          {"planned_tokens_per_second", result.planned_rate},
          {"ready_seconds", in_seconds(result.until_ready)},
          {"whole_seconds", in_seconds(result.until_whole)},
          {"virtual_seconds", in_seconds(result.virtual_time)},
          {"devices", result.devices},
          {"slices", result.slices},
          {"workers_lost", result.workers_lost},
          {"coordinator_restarts", result.coordinator_restarts},
          {"lost", lost},
          {"lost_p50_seconds", percentile(seconds, 0.5)},
          {"lost_p99_seconds", percentile(seconds, 0.99)},
          {"left_out", left_out},
          {"days", describe_days(result)},
          {"dispatch", json_of(result.dispatch)},
          {"log", result.log}};
}

std::vector<std::string> simulation_lines(const nlohmann::json& run, bool whole_log) {
  std::vector<std::string> lines;
  for (const nlohmann::json& entry : run["log"]) {
    auto line = entry.get<std::string>();
    if (whole_log || line.find(kOfPool) == std::string::npos) lines.push_back(std::move(line));
  }
  lines.push_back(fmt::format(
      "seed {}: {} devices, --slices {}; ready after {:.3f} s, whole again {:.3f} s after the last "
      "fault",
      run["seed"].get<uint64_t>(), run["devices"].get<uint64_t>(), run["slices"].get<uint32_t>(),
      run["ready_seconds"].get<double>(), run["whole_seconds"].get<double>()));
  add_answers(run, &lines);
  if (uint64_t lost = run["tokens_lost"].get<uint64_t>(); lost > 0 || any_watched(run)) {
    lines.push_back(fmt::format("tokens    {} lost", lost));
  }
  add_lost_time(run, &lines);
  add_days(run, &lines);
  add_left_out(run, &lines);
  return lines;
}

}  // namespace potluck
