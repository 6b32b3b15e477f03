// The file has one line, "potluck writes 1 TOTAL DAY BYTES": bytes in all, a day in days since
// 1970, bytes on that day. What was written on any other day counts as nothing today: a calendar
// that was set wrong must not bar the store for years.
#include "engine/experts/write_ledger.h"

#include <array>
#include <charconv>

#include <fmt/format.h>

namespace potluck {
namespace {

constexpr std::string_view kMark = "potluck writes 1 ";
constexpr uint64_t kLongest = 256;  // bytes; the line has at most 80
constexpr int64_t kSecondsOfADay = 24 * 60 * 60;

// Three numbers with a blank between them, and a line's end.
bool read_numbers(std::string_view text, std::array<uint64_t, 3>* numbers) {
  if (!text.starts_with(kMark) || !text.ends_with('\n')) return false;
  text = text.substr(kMark.size(), text.size() - kMark.size() - 1);
  for (size_t i = 0; i < numbers->size(); ++i) {
    if (i > 0) {
      if (!text.starts_with(' ')) return false;
      text.remove_prefix(1);
    }
    auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), (*numbers)[i]);
    if (failure != std::errc()) return false;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
  }
  return text.empty();
}

}  // namespace

int64_t WriteLedger::day_now() const {
  return rules_.clock == nullptr ? 0 : rules_.clock->unix_seconds() / kSecondsOfADay;
}

void WriteLedger::load(std::vector<LogEvent>* notices) {
  if (rules_.clock == nullptr || !storage_.exists(path_)) return;
  auto bytes = read_file(storage_, path_, kLongest);
  std::array<uint64_t, 3> numbers{};
  const bool good = bytes && read_numbers(as_text(*bytes), &numbers) && numbers[1] <= UINT32_MAX;
  if (good) {
    total_ = numbers[0];
    day_ = static_cast<int64_t>(numbers[1]);
    on_that_day_ = numbers[2];
    return;
  }
  const std::string found = bytes ? "its content is damaged" : bytes.error().message;
  notices->push_back({LogLevel::kWarning,
                      "store",
                      fmt::format("{}: how much was written is counted anew: {}", path_, found),
                      {{"path", path_}, {"reason", found}}});
}

Status WriteLedger::save() {
  if (!changed_) return {};
  const std::string text = fmt::format("{}{} {} {}\n", kMark, total_, day_, on_that_day_);
  Status saved = storage_.write_atomic(path_, as_bytes(text));
  changed_ = !saved;
  return saved;
}

void WriteLedger::wrote(uint64_t bytes) {
  if (rules_.clock == nullptr) return;
  if (const int64_t now = day_now(); now != day_) {
    day_ = now;
    on_that_day_ = 0;
  }
  total_ += bytes;
  on_that_day_ += bytes;
  changed_ = true;
}

uint64_t WriteLedger::today() const {
  return day_now() == day_ ? on_that_day_ : 0;
}

uint64_t WriteLedger::allowance() const {
  if (rules_.clock == nullptr || rules_.most_per_day == 0) return kAny;
  const uint64_t written = today();
  return rules_.most_per_day > written ? rules_.most_per_day - written : 0;
}

}  // namespace potluck
