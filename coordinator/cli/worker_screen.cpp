#include "coordinator/cli/worker_screen.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "coordinator/cli/health_words.h"
#include "coordinator/cli/styled_line.h"
#include "engine/base/format_bytes.h"

namespace potluck {
namespace {

constexpr size_t kLabel = 12;
constexpr size_t kGauge = 20;

// Of what is counted in several reports.
double per_second(uint64_t after, uint64_t before, double seconds) {
  return after > before && seconds > 0 ? static_cast<double>(after - before) / seconds : 0;
}

std::string bytes_per_second(double rate) {
  return format_bytes(static_cast<uint64_t>(rate)) + "/s";
}

class WorkerScreen {
 public:
  WorkerScreen(const WorkerReport& report, const WorkerReport* before, ScreenSize size,
               const TerminalStyle& style)
      : report_(report), before_(before), size_(size), style_(style) {}

  std::string draw(bool leaving) {
    head(leaving);
    gauge("memory", report_.resident_bytes, report_.memory_bytes);
    given_back();
    gauge("disk", report_.stored_bytes, report_.disk_bytes);
    health();
    for (const MembershipStatus& pool : report_.pools) membership(pool);
    if (report_.pools.empty()) line("", "belongs to no pool at present", Ink::kBusy);
    if (report_.bytes_served > 0) {
      line("others", fmt::format("were sent {} of experts", format_bytes(report_.bytes_served)));
    }
    return std::move(text_);
  }

 private:
  void line(std::string_view label, std::string_view words, Ink ink = Ink::kPlain) {
    StyledLine line(size_.width, style_);
    put(line.add_column(label, kLabel, Align::kLeft, Ink::kDim).add(words, ink));
  }
  void put(StyledLine& line) {
    if (size_.height > 0 && lines_ == size_.height) return;
    text_ += line.take() + "\n";
    ++lines_;
  }

  void head(bool leaving) {
    StyledLine line(size_.width, style_);
    line.add(report_.name, Ink::kBold).add("  " + report_.software, Ink::kDim);
    line.add("  key " + report_.key.brief(), Ink::kDim);
    if (leaving) line.add("  leaving", Ink::kBusy);
    put(line);
  }

  void gauge(std::string_view label, uint64_t used, uint64_t whole) {
    const double part =
        whole == 0 ? 0 : std::min(1.0, static_cast<double>(used) / static_cast<double>(whole));
    const auto filled = static_cast<size_t>(std::lround(part * kGauge));
    StyledLine line(size_.width, style_);
    line.add_column(label, kLabel, Align::kLeft, Ink::kDim).add("[");
    for (size_t i = 0; i < kGauge; ++i) {
      const bool full = i < filled;
      line.add(style_.utf8 ? (full ? "█" : "·") : (full ? "#" : "."),
               full ? Ink::kGood : Ink::kDim);
    }
    line.add(fmt::format("] {} of {}", format_bytes(used), format_bytes(whole)));
    put(line);
  }

  void health() {
    const HealthReport& health = report_.health;
    std::string words = health.pause_seconds > 0
                            ? fmt::format("pauses in {} s", health.pause_seconds)
                            : fmt::format("lends {} % of its speed", health.share);
    if (!health.text.empty()) words += ": " + health.text;
    if (health.celsius != HealthReport::kNoThermometer) {
      words += fmt::format(", {} degrees Celsius", health.celsius);
    }
    if (health.battery_percent != HealthReport::kNoBattery) {
      words += fmt::format(", battery at {} %{}", health.battery_percent,
                           health.on_battery ? "" : ", charging");
    }
    line("condition", words, health.share < 100 ? Ink::kBusy : Ink::kPlain);
    use(health.use);
  }

  void given_back() {
    const uint64_t limit = report_.health.use.cache_bytes;
    if (report_.memory_shrinks == 0) return;
    std::string words =
        fmt::format("{} given back under pressure, {} times",
                    format_bytes(report_.memory_given_back), report_.memory_shrinks);
    if (limit > 0) words += fmt::format("; at present {} may be used", format_bytes(limit));
    line("", words, limit > 0 ? Ink::kBusy : Ink::kPlain);
  }

  void use(const DeviceUse& use) {
    const std::string words = use_words(use);
    if (!words.empty()) line("use", words);
  }

  // The same pool in the report before.
  const MembershipStatus* earlier(const MembershipStatus& pool) const {
    if (before_ == nullptr) return nullptr;
    const auto found =
        std::ranges::find(before_->pools, pool.coordinator, &MembershipStatus::coordinator);
    return found == before_->pools.end() ? nullptr : &*found;
  }

  void membership(const MembershipStatus& pool) {
    const bool whole = pool.units_ready == pool.units_assigned;
    StyledLine head(size_.width, style_);
    put(head.add(""));
    line("pool", fmt::format("of the coordinator {}: {}", pool.coordinator.brief(), pool.phase),
         Ink::kBold);
    line("holds", fmt::format("{} of {} units", pool.units_ready, pool.units_assigned),
         whole ? Ink::kGood : Ink::kBusy);
    fetched(pool);
    work(pool);
  }

  void fetched(const MembershipStatus& pool) {
    if (pool.bytes_fetched == 0) return;
    std::string words = format_bytes(pool.bytes_fetched);
    const auto add = [&](const std::string& name, uint64_t bytes) {
      if (bytes > 0) words += fmt::format(", {} from {}", format_bytes(bytes), name);
    };
    add("the coordinator", pool.sources.coordinator);
    add("its own file", pool.sources.file);
    for (const auto& [name, bytes] : pool.sources.peers) add(name, bytes);
    line("fetched", words);
  }

  void work(const MembershipStatus& pool) {
    const MembershipStatus* before = earlier(pool);
    const double seconds = before == nullptr ? 0 : report_.steady_seconds - before_->steady_seconds;
    const MembershipStatus none;
    const MembershipStatus& past = before == nullptr ? none : *before;
    std::string words =
        fmt::format("{} answered, {} waiting", pool.requests_answered, pool.requests_waiting);
    if (pool.requests_refused > 0) words += fmt::format(", {} refused", pool.requests_refused);
    if (seconds > 0) {
      words += fmt::format(", {:.1f}/s",
                           per_second(pool.requests_answered, past.requests_answered, seconds));
    }
    line("requests", words);
    line("computed", fmt::format("{} units, {:.1f} s in all", pool.units_computed,
                                 static_cast<double>(pool.work.compute) / 1e9));
    const uint64_t lookups = pool.work.cache_hits + pool.work.cache_misses;
    if (lookups > 0) {
      line("in memory",
           fmt::format("{} % of {} grains", 100 * pool.work.cache_hits / lookups, lookups));
    }
    words = format_bytes(pool.work.disk_bytes);
    if (seconds > 0) {
      words +=
          ", " + bytes_per_second(per_second(pool.work.disk_bytes, past.work.disk_bytes, seconds));
    }
    line("from disk", words);
  }

  const WorkerReport& report_;
  const WorkerReport* before_;
  ScreenSize size_;
  TerminalStyle style_;
  size_t lines_ = 0;
  std::string text_;
};

}  // namespace

std::string draw_worker(const WorkerReport& report, const std::optional<WorkerReport>& before,
                        bool leaving, ScreenSize size, const TerminalStyle& style) {
  return WorkerScreen(report, before ? &*before : nullptr, size, style).draw(leaving);
}

}  // namespace potluck
