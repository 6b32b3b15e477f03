#include "tools/link_shaper/link.h"

#include <charconv>

#include <fmt/format.h>

namespace potluck::link_shaper {
namespace {

constexpr double kLongestMilliseconds = 60'000;
constexpr double kHighestRate = 1e12;

Duration milliseconds(double count) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(count));
}

}  // namespace

Status set_link(std::string_view setting, Link* link) {
  size_t equals = std::min(setting.find('='), setting.size());
  std::string_view key = setting.substr(0, equals);
  std::string_view text = setting.substr(std::min(equals + 1, setting.size()));
  bool time = key == "delay_ms" || key == "jitter_ms" || key == "queue_ms";
  bool rate = key == "rate" || key == "up" || key == "down";
  if (!time && !rate && key != "loss") {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: expected delay_ms, jitter_ms, queue_ms, rate, up, down or loss, "
                             "each with =NUMBER",
                             setting)};
  }
  double value = 0;
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  double most = time ? kLongestMilliseconds : rate ? kHighestRate : 1;
  bool number = problem == std::errc() && end == text.data() + text.size();
  if (!number || !(value >= 0 && value <= most)) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: expected a number from 0 to {}", setting, most)};
  }
  if (key == "delay_ms") link->delay = milliseconds(value);
  if (key == "jitter_ms") link->jitter = milliseconds(value);
  if (key == "queue_ms") link->queue = milliseconds(value);
  if (key == "rate" || key == "up") link->up = value;
  if (key == "rate" || key == "down") link->down = value;
  if (key == "loss") link->loss = value;
  return {};
}

}  // namespace potluck::link_shaper
