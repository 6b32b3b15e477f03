#include "coordinator/serving/chat_session.h"

namespace potluck {

Result<ChatAnswer> ChatSession::answer(const GenerationRequest& request, const PieceSink& sink) {
  auto generated = generate(engine_, conversation_, request, sink);
  if (!generated) return generated.error();
  ChatAnswer answer;
  answer.result = std::move(generated->result);
  answer.text = std::move(generated->text);
  answer.prompt_tokens = generated->usage.prompt_tokens;
  answer.cached_tokens = generated->usage.cached_tokens;

  ChatMessage message{"assistant", JsonValue{answer.text.content}, {}, {}, {}, {}};
  message.tool_calls = answer.text.calls;
  if (!answer.text.reasoning.empty()) message.reasoning_content = answer.text.reasoning;
  conversation_.messages.push_back(std::move(message));
  return answer;
}

}  // namespace potluck
