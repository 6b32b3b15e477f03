#include "coordinator/cli/message_builder.h"

#include <utility>

namespace potluck {
namespace {

constexpr std::string_view kBlock = "\"\"\"";

}  // namespace

bool MessageBuilder::push(std::string_view line) {
  if (in_block_) return push_block(line);
  if (!begun_ && line.starts_with(kBlock)) {
    in_block_ = true;
    line.remove_prefix(kBlock.size());
    // The marks may stand on lines of their own.
    if (!line.empty()) return push_block(line);
    begun_ = true;
    return false;
  }
  if (begun_) text_ += '\n';
  begun_ = line.ends_with('\\');
  if (begun_) line.remove_suffix(1);
  text_ += line;
  return !begun_;
}

bool MessageBuilder::push_block(std::string_view line) {
  const bool ends = line.ends_with(kBlock);
  if (ends) line.remove_suffix(kBlock.size());
  // Pasted, they come in one piece.
  if (text_.empty() && line.starts_with('\n')) line.remove_prefix(1);
  if (ends && line.ends_with('\n')) line.remove_suffix(1);
  // No line end behind the first mark or in front of the last one.
  if (!text_.empty() && !(ends && line.empty())) text_ += '\n';
  text_ += line;
  begun_ = !ends;
  if (ends) in_block_ = false;
  return ends;
}

std::string MessageBuilder::take() {
  begun_ = false;
  in_block_ = false;
  return std::exchange(text_, {});
}

}  // namespace potluck
