// FirstCallWriter: lets another writer know of one tool call of each choice and of nothing behind
// it, for clients that run one tool at a time. Belongs to one request; calls must not overlap.
#pragma once

#include <memory>
#include <set>

#include "coordinator/serving/http/answer_writer.h"

namespace potluck {

class FirstCallWriter final : public AnswerWriter {
 public:
  explicit FirstCallWriter(std::unique_ptr<AnswerWriter> writer) : writer_(std::move(writer)) {}

  bool streams() const override { return writer_->streams(); }
  std::string take(size_t choice, const CompletionEvent& event) override;
  bool done() const override { return writer_->done(); }
  void answered_by(const std::string& model) override { writer_->answered_by(model); }
  std::string failure(const ApiError& error) const override { return writer_->failure(error); }
  std::string_view content_type() const override { return writer_->content_type(); }
  std::string_view idle_comment() const override { return writer_->idle_comment(); }

 private:
  const std::unique_ptr<AnswerWriter> writer_;
  std::set<size_t> begun_;   // choices whose call has begun
  std::set<size_t> called_;  // choices that have their call
};

}  // namespace potluck
