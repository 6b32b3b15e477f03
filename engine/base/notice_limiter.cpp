#include "engine/base/notice_limiter.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace potluck {
namespace {

// Our own lines have some dozens of kinds. If there are more, they come from names that others
// chose, and a map of those would grow without bound: they share one kind.
constexpr size_t kKinds = 64;
constexpr const char* kOtherKinds = "others";
constexpr size_t kWords = 3;
constexpr size_t kSummaries = 3;  // kinds that a summary names; it counts the others

// The first words that consist of lower-case letters, outside parentheses and quotes. Names,
// numbers and quoted text are left out because peers choose them: each would be a kind of its own,
// with an allowance of its own.
std::string first_words(const std::string& text) {
  std::string kind;
  std::string word;
  size_t words = 0;
  int depth = 0;
  bool plain = true;
  auto finish = [&] {
    if (plain && depth == 0 && !word.empty() && words < kWords) {
      kind += (kind.empty() ? "" : " ") + word;
      ++words;
    }
    word.clear();
    plain = true;
  };
  for (char c : text) {
    if (words >= kWords) break;
    if (c == ' ' || c == ':' || c == ';' || c == ',') {
      finish();
    } else if (c == '(' || c == ')') {
      finish();
      depth = std::max(0, depth + (c == '(' ? 1 : -1));
    } else {
      plain = plain && c >= 'a' && c <= 'z';
      word += c;
    }
  }
  finish();
  return kind;
}

}  // namespace

bool NoticeLimiter::Allowance::take(uint32_t most, Duration interval, TimePoint now) {
  auto fresh = (now - refilled_at) / interval;
  if (fresh > 0) {
    // The rest of an interval counts toward the next one, or the rate would be as low as half of
    // what is promised. A full allowance saves nothing up.
    const bool full = left + fresh >= most;
    refilled_at = full ? now : refilled_at + fresh * interval;
    left = full ? most : static_cast<uint32_t>(left + fresh);
  }
  if (left == 0) return false;
  --left;
  return true;
}

NoticeLimiter::Kind& NoticeLimiter::kind_of(const std::string& text) {
  std::string name = first_words(text);
  if (!kinds_.contains(name) && kinds_.size() >= kKinds) name = kOtherKinds;
  Kind fresh{{kOfAKind, clock_.now()}, 0};
  return kinds_.try_emplace(name, fresh).first->second;
}

bool NoticeLimiter::admit(const std::string& text) {
  TimePoint now = clock_.now();
  Kind& kind = kind_of(text);
  // The allowance of the kind is asked first, so a flood of one kind takes nothing from what all
  // share once its own is used up.
  bool admitted =
      kind.allowance.take(kOfAKind, kKindInterval, now) && all_.take(kInAll, kAllInterval, now);
  if (!admitted) ++kind.left_out;
  return admitted;
}

std::vector<std::string> NoticeLimiter::take_summaries() {
  std::vector<std::string> lines;
  TimePoint now = clock_.now();
  if (now - summed_up_at_ < kSummaryInterval) return lines;
  summed_up_at_ = now;
  uint64_t others = 0;
  for (auto& [name, kind] : kinds_) {
    uint64_t count = std::exchange(kind.left_out, 0);
    if (count == 0) continue;
    if (lines.size() < kSummaries) {
      lines.push_back(fmt::format("{} more notices such as \"{} ...\" were left out", count, name));
    } else {
      others += count;
    }
  }
  if (others > 0) lines.push_back(fmt::format("{} notices of other kinds were left out", others));
  return lines;
}

}  // namespace potluck
