#include "coordinator/serving/chat_session.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/chat/prompt.h"

namespace potluck {

ChatSession::ChatSession(Runtime* runtime, const ChatTemplate* chat_template)
    : runtime_(*runtime), template_(*chat_template), cache_(runtime->new_cache()) {
  CHECK(runtime_.model().tokenizer() != nullptr);
}

uint32_t ChatSession::reuse_cache(const std::vector<TokenId>& prompt) {
  size_t common = std::min<size_t>(cache_.length(), cached_.size());
  // The last token is always computed: its logits are needed.
  common = std::min(common, prompt.size() - 1);
  const auto differs =
      std::mismatch(prompt.begin(), prompt.begin() + static_cast<int64_t>(common), cached_.begin());
  const auto same = static_cast<uint32_t>(differs.first - prompt.begin());
  return cache_.rewind(std::min(same, cache_.length()));
}

Result<MarkedText> ChatSession::write_prompt(int64_t local_seconds) const {
  const TemplateSetting setting = template_setting(*runtime_.model().tokenizer(), local_seconds);
  auto written = template_.render(conversation_, setting);
  return written ? std::move(written) : Result<MarkedText>(written.error().in("chat template"));
}

Result<ChatAnswer> ChatSession::answer(const MarkedText& written, GenerationRequest request,
                                       const PieceSink& sink) {
  const Tokenizer& tokenizer = *runtime_.model().tokenizer();
  auto prompt = encode_prompt(tokenizer, written);
  if (!prompt) return prompt.error();
  if (prompt->empty()) {
    return Error{ErrorCode::kInvalidArgument, "chat template: it writes an empty prompt"};
  }
  request.prompt = std::move(*prompt);
  request.cached_tokens = reuse_cache(request.prompt);
  cached_ = request.prompt;

  ChatAnswer answer;
  answer.prompt_tokens = static_cast<uint32_t>(request.prompt.size());
  answer.cached_tokens = request.cached_tokens;
  AnswerStream stream(tokenizer, template_.answer_syntax(), written.bytes());
  const auto take = [&](const AnswerPiece& piece) {
    answer.text.reasoning += piece.reasoning;
    answer.text.content += piece.content;
    answer.text.calls.insert(answer.text.calls.end(), piece.calls.begin(), piece.calls.end());
    return sink(piece);
  };
  auto result = generate(runtime_.generation(), request, &cache_, [&](TokenId token) {
    cached_.push_back(token);
    return take(stream.push(token));
  });
  if (!result) return result.error();
  take(stream.finish());
  answer.result = std::move(*result);
  for (ToolCall& call : answer.text.calls) call.id = fmt::format("call_{}", ++calls_);
  if (!answer.text.calls.empty() && answer.result.finish_reason == "stop") {
    answer.result.finish_reason = "tool_calls";
  }

  ChatMessage message{"assistant", JsonValue{answer.text.content}, {}, {}, {}, {}};
  message.tool_calls = answer.text.calls;
  if (!answer.text.reasoning.empty()) message.reasoning_content = answer.text.reasoning;
  conversation_.messages.push_back(std::move(message));
  return answer;
}

}  // namespace potluck
