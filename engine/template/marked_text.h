// MarkedText: UTF-8 text that knows of every byte whether it was written by the template or came
// from outside (a message, a tool, an argument). Only template text may become control tokens, so
// the mark goes wherever the byte goes. A plain value; its memory is taken from a budget, which
// also bounds its length.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/text_segment.h"
#include "engine/template/budget_vector.h"

namespace potluck {

class MarkedText {
 public:
  // Null: nothing is counted. The budget must outlive the text.
  explicit MarkedText(Budget* budget) : bytes_(budget), runs_(budget) {}
  MarkedText(std::string_view bytes, Trust trust, Budget* budget) : MarkedText(budget) {
    append(bytes, trust);
  }

  MarkedText(MarkedText&&) noexcept = default;
  MarkedText& operator=(MarkedText&&) noexcept = default;

  std::string_view bytes() const { return {bytes_.data(), bytes_.size()}; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // Trusted throughout; true for empty text.
  bool is_trusted() const {
    return runs_.empty() || (runs_.size() == 1 && runs_[0].trust == Trust::kTemplate);
  }
  Trust trust_at(size_t byte) const { return runs_[run_at(byte)].trust; }

  // What the budget refuses is left out; the budget then ends the rendering.
  void append(std::string_view bytes, Trust trust);
  void append(const MarkedText& other);
  // Appends bytes [begin, end) of another text.
  void append(const MarkedText& other, size_t begin, size_t end);
  void append_spaces(uint64_t count, Trust trust);
  // Room for so many bytes at once.
  void reserve(uint64_t bytes);
  MarkedText slice(size_t begin, size_t end, Budget* budget) const;
  // The text may then live longer than its budget.
  void leave_budget() {
    bytes_.leave_budget();
    runs_.leave_budget();
  }

  // Stretches of equal trust, in order; views into this object.
  std::vector<TextSegment> segments() const;
  size_t segment_count() const { return runs_.size(); }
  TextSegment segment(size_t index) const;

 private:
  struct Run {
    size_t end;
    Trust trust;
  };

  size_t run_at(size_t byte) const;
  bool allows(uint64_t more) const;

  BudgetVector<char> bytes_;
  BudgetVector<Run> runs_;  // neighbors differ; the last ends at bytes_.size()
};

}  // namespace potluck
