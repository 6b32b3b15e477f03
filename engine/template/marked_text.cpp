// Bytes in one sequence and, beside it, the ends of runs of equal trust: a text has few runs, so
// marks cost almost nothing.
#include "engine/template/marked_text.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {

bool MarkedText::allows(uint64_t more) const {
  Budget* budget = bytes_.budget();
  return budget == nullptr || budget->allows_text(bytes_.size() + more);
}

void MarkedText::append(std::string_view bytes, Trust trust) {
  if (bytes.empty() || !allows(bytes.size())) return;
  const size_t before = bytes_.size();
  // A run is added before its bytes and taken back if they are refused: at no time do bytes stand
  // outside of all runs.
  const bool goes_on = !runs_.empty() && runs_.back().trust == trust;
  if (!goes_on) {
    const size_t runs = runs_.size();
    runs_.push_back({before, trust});
    if (runs_.size() == runs) return;  // refused
  }
  bytes_.append(bytes.data(), bytes.size());
  if (bytes_.size() > before) {
    runs_.back().end = bytes_.size();
  } else if (!goes_on) {
    runs_.erase(runs_.size() - 1);
  }
}

void MarkedText::append(const MarkedText& other) {
  append(other, 0, other.size());
}

void MarkedText::append(const MarkedText& other, size_t begin, size_t end) {
  CHECK(begin <= end && end <= other.size());
  // The views into the other text would dangle while this one grows.
  CHECK(&other != this);
  if (begin == end) return;
  for (size_t run = other.run_at(begin); begin < end; ++run) {
    const size_t stop = std::min(end, other.runs_[run].end);
    append(other.bytes().substr(begin, stop - begin), other.runs_[run].trust);
    begin = stop;
  }
}

void MarkedText::append_spaces(uint64_t count, Trust trust) {
  constexpr std::string_view kSpaces = "                                                        ";
  if (!allows(count)) return;
  reserve(bytes_.size() + count);
  for (; count > 0; count -= std::min<uint64_t>(count, kSpaces.size())) {
    append(kSpaces.substr(0, count), trust);
  }
}

void MarkedText::reserve(uint64_t bytes) {
  if (allows(bytes - std::min<uint64_t>(bytes, bytes_.size()))) bytes_.reserve(bytes);
}

MarkedText MarkedText::slice(size_t begin, size_t end, Budget* budget) const {
  MarkedText out(budget);
  out.reserve(end - begin);
  out.append(*this, begin, end);
  return out;
}

std::vector<TextSegment> MarkedText::segments() const {
  std::vector<TextSegment> segments;
  for (size_t i = 0; i < runs_.size(); ++i) segments.push_back(segment(i));
  return segments;
}

TextSegment MarkedText::segment(size_t index) const {
  const size_t begin = index == 0 ? 0 : runs_[index - 1].end;
  return {bytes().substr(begin, runs_[index].end - begin), runs_[index].trust};
}

size_t MarkedText::run_at(size_t byte) const {
  CHECK(byte < size());
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), byte,
                                      [](size_t at, const Run& run) { return at < run.end; });
  return static_cast<size_t>(after - runs_.begin());
}

}  // namespace potluck
