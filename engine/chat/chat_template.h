// ChatTemplate: a model's own template, which writes a conversation as a prompt. Immutable after
// parse(); any thread may render. What comes from the conversation is marked as user text in the
// result, so that it cannot become a control token.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/chat/answer_stream.h"
#include "engine/chat/conversation_values.h"
#include "engine/template/marked_text.h"

namespace potluck {

// What a template gets beside the conversation.
struct TemplateSetting {
  std::string bos_token;  // names of the vocabulary's tokens, or empty
  std::string eos_token;
  int64_t local_seconds = 0;  // wall clock time in the user's zone, as seconds since 1970
};

class ChatTemplate {
 public:
  // Errors name line and column. Finds out, by a few small conversations, in which form the
  // template takes contents and arguments of tool calls.
  static Result<ChatTemplate> parse(std::string_view source);

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  Result<MarkedText> render(const Conversation& conversation, const TemplateSetting& setting) const;

  // How models of this template mark reasoning and tool calls in their answers.
  const AnswerSyntax& answer_syntax() const { return answer_syntax_; }

 private:
  struct Tree;
  ChatTemplate();
  void find_form();
  void find_answer_syntax(std::string_view source);
  Result<MarkedText> render(const Conversation& conversation, const TemplateSetting& setting,
                            ConversationForm form) const;

  std::unique_ptr<const Tree> tree_;
  ConversationForm form_;
  AnswerSyntax answer_syntax_;
};

}  // namespace potluck
