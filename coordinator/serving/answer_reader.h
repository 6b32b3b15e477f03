// AnswerReader: from the tokens of an answer to its parts, for every kind of prompt: the answer of
// a chat has reasoning, text and calls; what continues a text is text; a model without a tokenizer
// says nothing but tokens. One object per answer, one thread.
#pragma once

#include <memory>

#include "engine/chat/answer_stream.h"

namespace potluck {

class AnswerReader {
 public:
  // No text at all.
  AnswerReader() = default;
  explicit AnswerReader(StreamingDecoder decoder)
      : decoder_(std::make_unique<StreamingDecoder>(std::move(decoder))) {}
  explicit AnswerReader(AnswerStream stream)
      : stream_(std::make_unique<AnswerStream>(std::move(stream))) {}

  AnswerPiece push(TokenId token) {
    if (stream_) return stream_->push(token);
    return decoder_ ? AnswerPiece{{}, decoder_->push(token), {}} : AnswerPiece();
  }
  AnswerPiece finish() {
    if (stream_) return stream_->finish();
    return decoder_ ? AnswerPiece{{}, decoder_->finish(), {}} : AnswerPiece();
  }

 private:
  // One of them, or none.
  std::unique_ptr<StreamingDecoder> decoder_;
  std::unique_ptr<AnswerStream> stream_;
};

}  // namespace potluck
