#include "engine/chat/reasoning.h"

#include <algorithm>

namespace potluck {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr ReasoningMarks kKnownMarks[] = {
    {"<think>", "</think>"}, {"[THINK]", "[/THINK]"}, {"<seed:think>", "</seed:think>"}};

// Bytes at the end of `text` that may be the beginning of `mark`, white space before it included.
size_t uncertain_bytes(std::string_view text, std::string_view mark) {
  size_t begin = text.size();
  for (size_t length = std::min(text.size(), mark.size() - 1); length > 0; --length) {
    if (!text.ends_with(mark.substr(0, length))) continue;
    begin = text.size() - length;
    break;
  }
  while (begin > 0 && kSpace.find(text[begin - 1]) != std::string_view::npos) --begin;
  return text.size() - begin;
}

std::string_view without_space_after(std::string_view text) {
  const size_t last = text.find_last_not_of(kSpace);
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

}  // namespace

std::optional<ReasoningMarks> find_reasoning_marks(std::string_view template_source) {
  for (const ReasoningMarks& marks : kKnownMarks) {
    if (template_source.find(marks.close) != std::string_view::npos) return marks;
  }
  return std::nullopt;
}

ReasoningSplitter::ReasoningSplitter(std::optional<ReasoningMarks> marks, std::string_view prompt)
    : marks_(marks) {
  if (!marks_) {
    state_ = State::kContent;
  } else if (without_space_after(prompt).ends_with(marks_->open)) {
    state_ = State::kReasoning;
    skips_space_ = true;
  }
}

void ReasoningSplitter::emit(std::string* into, size_t bytes) {
  std::string_view text = std::string_view(pending_).substr(0, bytes);
  if (skips_space_) {
    text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
    skips_space_ = text.empty();
  }
  *into += text;
  pending_.erase(0, bytes);
}

// One step on what is pending; false when more text is needed.
bool ReasoningSplitter::advance(AnswerPiece* piece) {
  if (state_ == State::kContent) {
    emit(&piece->content, pending_.size());
    return false;
  }
  if (state_ == State::kStart) {
    const size_t begin = pending_.find_first_not_of(kSpace);
    if (begin == std::string::npos) return false;
    const std::string_view rest = std::string_view(pending_).substr(begin);
    if (rest.starts_with(marks_->open)) {
      pending_.erase(0, begin + marks_->open.size());
      state_ = State::kReasoning;
      skips_space_ = true;
      return true;
    }
    if (marks_->open.starts_with(rest)) return false;
    state_ = State::kContent;
    return true;
  }
  const size_t close = pending_.find(marks_->close);
  if (close == std::string::npos) {
    emit(&piece->reasoning, pending_.size() - uncertain_bytes(pending_, marks_->close));
    return false;
  }
  const size_t reasoning = without_space_after(std::string_view(pending_).substr(0, close)).size();
  emit(&piece->reasoning, reasoning);
  pending_.erase(0, close - reasoning + marks_->close.size());
  state_ = State::kContent;
  skips_space_ = true;
  return true;
}

AnswerPiece ReasoningSplitter::push(std::string_view text) {
  AnswerPiece piece;
  pending_ += text;
  while (advance(&piece)) {
  }
  return piece;
}

AnswerPiece ReasoningSplitter::finish() {
  AnswerPiece piece;
  emit(state_ == State::kReasoning ? &piece.reasoning : &piece.content, pending_.size());
  return piece;
}

AnswerStream::AnswerStream(const Tokenizer& tokenizer, std::optional<ReasoningMarks> marks,
                           std::string_view prompt)
    : tokenizer_(tokenizer), marks_(marks), decoder_(tokenizer), splitter_(marks, prompt) {}

AnswerPiece AnswerStream::push(TokenId token) {
  const std::string_view name = tokenizer_.bytes_of(token);
  const bool is_mark = marks_ && (name == marks_->open || name == marks_->close);
  // The decoder shows no control tokens.
  if (is_mark && tokenizer_.is_control(token))
    return splitter_.push(decoder_.finish() + std::string(name));
  return splitter_.push(decoder_.push(token));
}

AnswerPiece AnswerStream::finish() {
  AnswerPiece piece = splitter_.push(decoder_.finish());
  AnswerPiece rest = splitter_.finish();
  return {piece.reasoning + rest.reasoning, piece.content + rest.content};
}

}  // namespace potluck
