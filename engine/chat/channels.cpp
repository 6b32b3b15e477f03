#include "engine/chat/channels.h"

#include <algorithm>
#include <utility>

#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

// "assistant to=functions.NAME<|channel|>commentary <|constrain|>json": far shorter.
constexpr size_t kMostHeaderBytes = 512;
constexpr std::string_view kRecipient = "to=";
constexpr std::string_view kParted = "\n\n";

// Up to white space or the next mark.
std::string_view word_behind(std::string_view header, std::string_view mark) {
  const size_t at = header.find(mark);
  if (at == std::string_view::npos) return {};
  std::string_view word = header.substr(at + mark.size());
  word.remove_prefix(std::min(word.find_first_not_of(kWhiteSpace), word.size()));
  return word.substr(0, word.find_first_of(" \t\r\n<"));
}

// Whom the message is for; messages for those who talk are no calls.
std::string_view function_of(std::string_view header) {
  std::string_view recipient = word_behind(header, kRecipient);
  for (const std::string_view other : {"assistant", "user", "all"}) {
    if (recipient == other) return {};
  }
  if (recipient.starts_with(channels::kFunctions))
    recipient.remove_prefix(channels::kFunctions.size());
  return recipient;
}

// A header is the role, if it is there, and then a mark or the recipient.
bool may_be_header(std::string_view text) {
  constexpr std::string_view kRole = "assistant";
  std::string_view first = trimmed(text);
  if (kRole.starts_with(first)) return true;
  if (first.starts_with(kRole)) first = trimmed(first.substr(kRole.size()));
  for (const std::string_view begin : {std::string_view("<|"), kRecipient}) {
    if (first.starts_with(begin) || begin.starts_with(first)) return true;
  }
  return false;
}

}  // namespace

ChannelSplitter::ChannelSplitter(std::string_view prompt) {
  const size_t start = prompt.rfind(channels::kStart);
  if (start == std::string_view::npos) return;
  push(prompt.substr(start));
  given_ = header_.size();
  has_reasoning_ = false;
  has_text_ = false;
}

SplitChannels ChannelSplitter::push(std::string_view text) {
  SplitChannels split;
  if (has_mark_tokens_) {
    take_text(text, &split);
    return split;
  }
  pending_ += text;
  while (true) {
    const std::string_view all = pending_;
    size_t first = all.find("<|");
    if (first == std::string_view::npos) first = all.size() - (all.ends_with('<') ? 1 : 0);
    const std::string_view rest = all.substr(first);
    const auto mark = std::ranges::find_if(
        channels::kMarks, [&](std::string_view name) { return rest.starts_with(name); });
    const bool may_be_mark = std::ranges::any_of(
        channels::kMarks, [&](std::string_view name) { return name.starts_with(rest); });
    const size_t text_bytes = mark == channels::kMarks.end() && !may_be_mark ? first + 1 : first;
    take_text(std::string(all.substr(0, std::min(text_bytes, all.size()))), &split);
    if (mark != channels::kMarks.end()) take_mark(*mark, &split);
    const size_t taken = text_bytes + (mark == channels::kMarks.end() ? 0 : mark->size());
    pending_.erase(0, std::min(taken, pending_.size()));
    if (pending_.empty() || (mark == channels::kMarks.end() && may_be_mark)) return split;
  }
}

SplitChannels ChannelSplitter::push_mark(std::string_view name) {
  SplitChannels split;
  has_mark_tokens_ = true;
  take_text(std::exchange(pending_, {}), &split);
  take_mark(name, &split);
  return split;
}

SplitChannels ChannelSplitter::finish() {
  SplitChannels split;
  take_text(std::exchange(pending_, {}), &split);
  // Text without a mark is no header.
  const bool is_text = part_ == Part::kHeader && header_.find("<|") == std::string::npos;
  const std::string said = header_.substr(std::min(given_, header_.size()));
  if (is_text && trimmed(said) != "assistant") split.rest.content += said;
  end_body(&split);
  return split;
}

void ChannelSplitter::take_text(std::string_view text, SplitChannels* split) {
  if (text.empty()) return;
  switch (part_) {
    case Part::kHeader:
      header_ += text;
      look_at_header(split);
      return;
    case Part::kReasoning:
      if (std::exchange(is_new_, false) && has_reasoning_) split->reasoning += kParted;
      has_reasoning_ = true;
      split->reasoning += text;
      return;
    case Part::kText:
      if (std::exchange(is_new_, false) && has_text_) split->rest.content += kParted;
      has_text_ = true;
      split->rest.content += text;
      return;
    case Part::kCall:
      arguments_ += text;
      split->rest.grow(text);
  }
}

// Models that answer without a header say what is meant for the user.
void ChannelSplitter::look_at_header(SplitChannels* split) {
  if (may_be_header(header_) && header_.size() <= kMostHeaderBytes) return;
  part_ = Part::kText;
  is_new_ = true;
  take_text(std::exchange(header_, {}).substr(std::exchange(given_, 0)), split);
}

void ChannelSplitter::take_mark(std::string_view name, SplitChannels* split) {
  if (name == channels::kMessage) {
    if (part_ == Part::kHeader) begin_body(split);
    return;
  }
  if (part_ != Part::kHeader) end_body(split);
  if (name == channels::kChannel || name == channels::kConstrain) {
    header_ += name;
  } else {
    header_.clear();
    given_ = 0;
  }
}

void ChannelSplitter::begin_body(SplitChannels* split) {
  const std::string header = std::exchange(header_, {});
  is_new_ = true;
  name_ = function_of(header);
  if (!name_.empty()) {
    part_ = Part::kCall;
    split->rest.begin_call(name_);
  } else {
    part_ = word_behind(header, channels::kChannel) == "analysis" ? Part::kReasoning : Part::kText;
  }
}

void ChannelSplitter::end_body(SplitChannels* split) {
  if (part_ == Part::kCall) {
    split->rest.calls.push_back(whole_call(std::move(name_), std::exchange(arguments_, {})));
  }
  part_ = Part::kHeader;
  header_.clear();
  given_ = 0;
}

}  // namespace potluck
