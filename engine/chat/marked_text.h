// MarkedText: UTF-8 text that knows of every byte whether it was written by the template or came
// from outside (a message, a tool, an argument). Only template text may become control tokens, so
// the mark goes wherever the byte goes. A plain value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace potluck {

class MarkedText {
 public:
  MarkedText() = default;
  MarkedText(std::string_view bytes, Trust trust) { append(bytes, trust); }

  std::string_view bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // Trusted throughout; true for empty text.
  bool is_trusted() const {
    return runs_.empty() || (runs_.size() == 1 && runs_[0].trust == Trust::kTemplate);
  }
  Trust trust_at(size_t byte) const { return runs_[run_at(byte)].trust; }

  void append(std::string_view bytes, Trust trust);
  void append(const MarkedText& other);
  // Appends bytes [begin, end) of another text.
  void append(const MarkedText& other, size_t begin, size_t end);
  MarkedText slice(size_t begin, size_t end) const;

  // Stretches of equal trust, in order; views into this object.
  std::vector<TextSegment> segments() const;
  // What the text and its marks take in memory, about.
  size_t memory_bytes() const { return bytes_.size() + runs_.size() * sizeof(Run); }

 private:
  struct Run {
    size_t end;
    Trust trust;
  };

  size_t run_at(size_t byte) const;

  std::string bytes_;
  std::vector<Run> runs_;  // neighbors differ; the last ends at bytes_.size()
};

}  // namespace potluck
