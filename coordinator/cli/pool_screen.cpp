#include "coordinator/cli/pool_screen.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "coordinator/cli/device_table.h"
#include "coordinator/cli/expert_map_text.h"
#include "coordinator/cli/pool_power.h"
#include "coordinator/cli/styled_line.h"
#include "engine/base/format_bytes.h"

namespace potluck {
namespace {

constexpr size_t kSmallestMap = 6;
constexpr size_t kMostEvents = 6;
constexpr size_t kMostBar = 40;
constexpr size_t kShareWords = 66;  // columns that the words beside the bar take
// A report comes each second; later than this, something is wrong.
constexpr int64_t kLate = 5;

class PoolScreen {
 public:
  PoolScreen(const PoolPicture& picture, ScreenSize size, const TerminalStyle& style, MapKind kind)
      : picture_(picture), size_(size), style_(style), kind_(kind) {}

  std::string draw();

 private:
  StyledLine line() const { return {size_.width, style_}; }
  void put(StyledLine line) { lines_.push_back(line.take()); }
  void put_all(const std::vector<std::string>& lines);
  void gap();
  size_t room() const;

  void head();
  void service();
  void shares();
  void table_and_map();
  void events();

  const PoolPicture& picture_;
  ScreenSize size_;
  TerminalStyle style_;
  MapKind kind_;
  std::vector<std::string> lines_;
};

std::string percent(double part) {
  return fmt::format("{} %", std::lround(100 * part));
}

// Lines that may still be written.
size_t PoolScreen::room() const {
  if (size_.height == 0) return SIZE_MAX / 2;
  return size_.height > lines_.size() ? size_.height - lines_.size() : 0;
}

void PoolScreen::gap() {
  if (room() > 0) lines_.emplace_back();
}

void PoolScreen::put_all(const std::vector<std::string>& lines) {
  for (const std::string& text : lines) {
    if (room() > 0) lines_.push_back(text);
  }
}

void PoolScreen::head() {
  const std::string speed = picture_.tokens_per_second > 0
                                ? fmt::format("{:.1f} tokens/s", picture_.tokens_per_second)
                                : std::string();
  const size_t left = size_.width > speed.size() + 1 ? size_.width - speed.size() - 1 : 0;
  put(line()
          .add_column(picture_.model, left, Align::kLeft, Ink::kBold)
          .add(" ")
          .add(speed, Ink::kBold));
  StyledLine state = line();
  if (!picture_.running) {
    state.add(fmt::format("ended ({} s ago at the latest)", picture_.age_seconds), Ink::kBad);
  } else if (picture_.age_seconds >= kLate) {
    state.add(fmt::format("running, silent for {} s", picture_.age_seconds), Ink::kBusy);
  } else {
    state.add("running", Ink::kGood);
  }
  const auto& devices = picture_.pool.devices;
  const auto ready = std::ranges::count(devices, DeviceState::kReady, &DeviceView::state);
  state.add(fmt::format(", {} of {} devices ready", ready, devices.size()));
  if (picture_.workers_lost > 0) state.add(fmt::format(", {} lost so far", picture_.workers_lost));
  state.add(fmt::format(", {} of {} units in place", picture_.pool.units_ready,
                        picture_.pool.units_assigned));
  state.add(power_words(pool_power(devices, picture_.tokens_per_second), devices.size()));
  put(state);
}

void PoolScreen::service() {
  if (!picture_.service) return;
  const ServiceView& service = *picture_.service;
  StyledLine text = line();
  text.add(fmt::format("{} sessions", service.running));
  if (service.waiting > 0) text.add(fmt::format(", {} waiting", service.waiting), Ink::kBusy);
  text.add(fmt::format(", {} done, {} tokens", service.done, service.answer_tokens));
  if (service.memory_budget_bytes > 0) {
    text.add(fmt::format(", {} of {} for their keys and values", format_bytes(service.memory_bytes),
                         format_bytes(service.memory_budget_bytes)));
  }
  if (picture_.expected_tokens_per_second) {
    text.add(fmt::format(", the plan expects {:.1f} tokens/s for one",
                         *picture_.expected_tokens_per_second));
  }
  put(text);
}

// A bar of the parts, and the same in words.
void PoolScreen::shares() {
  if (!picture_.shares) return;
  const TimeShares& shares = *picture_.shares;
  struct Part {
    const char* name;
    double share;
    char letter;
    uint32_t color;  // of a device, as the dashboard has it
  };
  const std::array<Part, 4> parts{{{"coordinator", shares.coordinator, 'c', 8},
                                   {"network", shares.network, 'n', 2},
                                   {"disks", shares.disks, 'd', 6},
                                   {"experts", shares.experts, 'e', 3}}};
  const size_t columns = std::clamp(size_.width, kShareWords, kShareWords + kMostBar) - kShareWords;
  StyledLine bar = line();
  bar.add("time: ");
  double end = 0;
  size_t drawn = 0;
  for (const Part& part : parts) {
    end += part.share * static_cast<double>(columns);
    const auto upto = static_cast<size_t>(std::max(0L, std::lround(end)));
    const size_t more = upto > drawn ? upto - drawn : 0;
    bar.add_device(std::string(more, part.letter), part.color, true);
    drawn += more;
  }
  for (const Part& part : parts) {
    bar.add("  ").add_device(part.name, part.color, false).add(" " + percent(part.share));
  }
  put(bar);
}

void PoolScreen::table_and_map() {
  const size_t wanted_map = kind_ == MapKind::kNone ? 0 : map_lines(picture_.map);
  const size_t least_map = std::min(wanted_map, kSmallestMap);
  gap();
  const size_t body = room();
  // Both with a line between them, or devices alone where that would leave next to none of these.
  const bool both = wanted_map > 0 && body >= least_map + 1 + kSmallestMap;
  const size_t for_table = both ? body - least_map - 1 : body;
  put_all(draw_devices(picture_, {size_.width, for_table}, style_));
  if (!both || room() <= least_map) return;
  gap();
  put_all(draw_map(picture_.map, {size_.width, std::min(room(), wanted_map)}, style_, kind_));
}

void PoolScreen::events() {
  if (picture_.events.empty() || room() < 3) return;
  gap();
  const size_t count = std::min({picture_.events.size(), kMostEvents, room()});
  for (size_t i = picture_.events.size() - count; i < picture_.events.size(); ++i) {
    put(line().add(picture_.events[i], Ink::kDim));
  }
}

std::string PoolScreen::draw() {
  head();
  service();
  shares();
  table_and_map();
  events();
  std::string text;
  for (size_t i = 0; i < lines_.size() && (size_.height == 0 || i < size_.height); ++i) {
    text += lines_[i] + "\n";
  }
  return text;
}

}  // namespace

std::string draw_pool(const PoolPicture& picture, ScreenSize size, const TerminalStyle& style,
                      MapKind kind) {
  return PoolScreen(picture, size, style, kind).draw();
}

}  // namespace potluck
