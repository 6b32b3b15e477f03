// AnswerBlocks: an answer as the APIs of Anthropic and OpenAI's Responses tell it: a list of
// blocks, each reasoning, text or a tool call, of which the last one grows. Belongs to one answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "coordinator/serving/completion.h"

namespace potluck {

struct AnswerBlock {
  enum class Kind { kReasoning, kText, kCall };
  Kind kind = Kind::kText;
  std::string text;                          // of reasoning and text; of a call its arguments
  ToolCall call;                             // has its arguments once it is closed
  std::vector<ChosenLogprob> logprobs = {};  // of the tokens of text, if wanted
};

// Told what happens to the blocks, in order: each is opened, grows, and is closed before the next
// one is opened.
class BlockListener {
 public:
  virtual ~BlockListener() = default;
  virtual void opened(size_t index, const AnswerBlock& block) = 0;
  // By this text, whose tokens are the last `logprobs` of the block's.
  virtual void grew(size_t index, const AnswerBlock& block, std::string_view text,
                    size_t logprobs) = 0;
  virtual void closed(size_t index, const AnswerBlock& block) = 0;
};

class AnswerBlocks {
 public:
  // The listener may be null.
  void take(const CompletionDelta& delta, BlockListener* listener);
  // Closes the last one.
  void finish(BlockListener* listener);

  const std::vector<AnswerBlock>& blocks() const { return blocks_; }
  // What was said, as a message of the conversation.
  ChatMessage message() const;

 private:
  void grow(AnswerBlock::Kind kind, const std::string& text, BlockListener* listener);
  void open(AnswerBlock block, BlockListener* listener);
  void close(BlockListener* listener);

  std::vector<AnswerBlock> blocks_;
  std::vector<ChosenLogprob> logprobs_;  // of tokens whose text is still to come
  bool open_ = false;
  size_t begun_calls_ = 0;
  size_t whole_calls_ = 0;
};

// The arguments of a call as text, broken or not.
std::string arguments_text(const JsonValue& arguments);
// The arguments as an object; what is none is the only member of one.
JsonValue arguments_object(const JsonValue& arguments);

}  // namespace potluck
