#include "engine/chat/marked_text.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {

void MarkedText::append(std::string_view bytes, Trust trust) {
  if (bytes.empty()) return;
  bytes_ += bytes;
  if (!runs_.empty() && runs_.back().trust == trust) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), trust});
  }
}

void MarkedText::append(const MarkedText& other) {
  append(other, 0, other.size());
}

void MarkedText::append(const MarkedText& other, size_t begin, size_t end) {
  CHECK(begin <= end && end <= other.size());
  CHECK(&other != this);
  if (begin == end) return;
  for (size_t run = other.run_at(begin); begin < end; ++run) {
    const size_t stop = std::min(end, other.runs_[run].end);
    append(other.bytes().substr(begin, stop - begin), other.runs_[run].trust);
    begin = stop;
  }
}

MarkedText MarkedText::slice(size_t begin, size_t end) const {
  MarkedText out;
  out.append(*this, begin, end);
  return out;
}

std::vector<TextSegment> MarkedText::segments() const {
  std::vector<TextSegment> segments;
  size_t begin = 0;
  for (const Run& run : runs_) {
    segments.push_back({bytes().substr(begin, run.end - begin), run.trust});
    begin = run.end;
  }
  return segments;
}

size_t MarkedText::run_at(size_t byte) const {
  CHECK(byte < size());
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), byte,
                                      [](size_t at, const Run& run) { return at < run.end; });
  return static_cast<size_t>(after - runs_.begin());
}

}  // namespace potluck
