#include "coordinator/serving/chat_session.h"

namespace potluck {

Result<GeneratedAnswer> ChatSession::answer(const GenerationRequest& request,
                                            const PieceSink& sink) {
  auto answer = generate(engine_, conversation_, request, sink);
  if (!answer) return answer;
  const AnswerPiece& text = answer->text;
  ChatMessage message{"assistant", JsonValue{text.content}, {}, {}, {}, {}};
  message.tool_calls = text.calls;
  if (!text.reasoning.empty()) message.reasoning_content = text.reasoning;
  conversation_.messages.push_back(std::move(message));
  return answer;
}

}  // namespace potluck
