#include "coordinator/serving/completion_intake.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/serving/admission.h"
#include "engine/base/utf8.h"
#include "engine/chat/prompt.h"

namespace potluck {
namespace {

// OpenAI's API accepts 4 stop strings and 20 alternatives; other servers accept more.
constexpr size_t kStopStrings = 64;
constexpr size_t kStopStringBytes = 4096;
constexpr uint32_t kTopLogprobs = 100;

CompletionFailed invalid(const Error& error) {
  return {CompletionFault::kInvalid, error.message, 0, 0, 0};
}

}  // namespace

CompletionIntake::CompletionIntake(const Model& model, const ChatTemplate* chat_template,
                                   uint32_t context, KvPrice price, uint64_t kv_bytes,
                                   LocalSeconds local_seconds)
    : model_(model),
      template_(chat_template),
      context_(context),
      price_(price),
      kv_bytes_(kv_bytes),
      local_seconds_(std::move(local_seconds)) {}

std::variant<PreparedRequest, CompletionFailed> CompletionIntake::prepare(
    const CompletionRequest& request) const {
  Result<Encoded> encoded = encode_any(request.prompt);
  if (!encoded) return invalid(encoded.error());
  size_t prompt_tokens = encoded->tokens.size();
  if (prompt_tokens > context_) return too_long_for(prompt_tokens, context_, price_, kv_bytes_);
  if (Status known = check_tokens(encoded->tokens); !known) return invalid(known.error());
  if (Status status = check_settings(request); !status) return invalid(status.error());
  if (request.grammar != nullptr) {
    if (Status status = needs_tokenizer(); !status) return invalid(status.error());
  }
  PreparedRequest prepared;
  prepared.reader = std::move(encoded->reader);
  prepared.entry = encoded->entry;
  SessionTask& task = prepared.task;
  task.prompt = std::move(encoded->tokens);
  task.max_tokens = answer_room(request, prompt_tokens);
  task.sampling = request.sampling;
  task.stop = request.stop;
  task.top_logprobs = request.top_logprobs;
  task.ignore_end = request.ignore_end;
  return prepared;
}

// The last token of an answer is chosen, but takes no position.
uint32_t CompletionIntake::answer_room(const CompletionRequest& request,
                                       size_t prompt_tokens) const {
  if (request.prompt_only) return 0;
  uint32_t room = context_ - static_cast<uint32_t>(prompt_tokens) + 1;
  return request.max_tokens == 0 ? room : std::min(request.max_tokens, room);
}

Result<std::vector<TokenId>> CompletionIntake::encode(const CompletionPrompt& prompt) const {
  Result<Encoded> encoded = encode_any(prompt);
  if (!encoded) return encoded.error();
  return std::move(encoded->tokens);
}

Result<std::string> CompletionIntake::decode(const std::vector<TokenId>& tokens) const {
  if (Status status = needs_tokenizer(); !status) return status.error();
  if (Status known = check_tokens(tokens); !known) return known.error();
  StreamingDecoder decoder(*model_.tokenizer());
  std::string text;
  for (TokenId token : tokens) text += decoder.push(token);
  return text + decoder.finish();
}

Result<CompletionIntake::Encoded> CompletionIntake::encode_any(
    const CompletionPrompt& prompt) const {
  Result<Encoded> encoded = [&]() -> Result<Encoded> {
    if (const auto* conversation = std::get_if<Conversation>(&prompt)) {
      return encode_conversation(*conversation);
    }
    if (const auto* text = std::get_if<std::string>(&prompt)) return encode_text(*text);
    AnswerReader reader;
    if (model_.tokenizer() != nullptr) reader = AnswerReader(StreamingDecoder(*model_.tokenizer()));
    return Encoded{std::get<std::vector<TokenId>>(prompt), std::move(reader), AnswerEntry::kAnswer};
  }();
  if (!encoded || !encoded->tokens.empty()) return encoded;
  bool is_written = std::holds_alternative<Conversation>(prompt);
  return Error{ErrorCode::kInvalidArgument,
               is_written ? "chat template: it writes an empty prompt"
                          : "the prompt is empty: at least one token is needed"};
}

Result<CompletionIntake::Encoded> CompletionIntake::encode_conversation(
    const Conversation& conversation) const {
  if (Status status = needs_tokenizer(); !status) return status.error();
  if (template_ == nullptr) {
    return Error{ErrorCode::kUnsupported, "the model has no chat template"};
  }
  const Tokenizer& tokenizer = *model_.tokenizer();
  int64_t seconds = local_seconds_ ? local_seconds_() : 0;
  auto written = template_->render(conversation, template_setting(tokenizer, seconds));
  if (!written) return written.error().in("chat template");
  auto tokens = encode_prompt(tokenizer, *written);
  if (!tokens) return tokens.error();
  AnswerStream stream(tokenizer, template_->answer_syntax(), written->bytes(), conversation.tools);
  return Encoded{std::move(*tokens), AnswerReader(std::move(stream)),
                 answer_entry(template_->answer_syntax(), written->bytes())};
}

Result<CompletionIntake::Encoded> CompletionIntake::encode_text(const std::string& text) const {
  if (Status status = needs_tokenizer(); !status) return status.error();
  const Tokenizer& tokenizer = *model_.tokenizer();
  auto tokens = encode_plain_text(tokenizer, text);
  if (!tokens) return tokens.error().in("prompt");
  return Encoded{std::move(*tokens), AnswerReader(StreamingDecoder(tokenizer)),
                 AnswerEntry::kAnswer};
}

Status CompletionIntake::needs_tokenizer() const {
  if (model_.tokenizer() != nullptr) return {};
  return Error{ErrorCode::kUnsupported,
               fmt::format("the model has no usable tokenizer: {}", model_.tokenizer_error())};
}

Status CompletionIntake::check_tokens(const std::vector<TokenId>& tokens) const {
  uint32_t vocabulary = model_.config().vocabulary;
  for (TokenId token : tokens) {
    if (token >= 0 && static_cast<uint32_t>(token) < vocabulary) continue;
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("token {} is not in the vocabulary of {}", token, vocabulary)};
  }
  return {};
}

Status CompletionIntake::check_settings(const CompletionRequest& request) const {
  if (Status status = check_sampling(request.sampling); !status) return status;
  for (const LogitBias& bias : request.sampling.logit_bias) {
    if (Status known = check_tokens({bias.token}); !known) return known.error().in("logit bias");
  }
  if (request.top_logprobs.value_or(0) > kTopLogprobs) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("top_logprobs must be between 0 and {}, but is {}", kTopLogprobs,
                             *request.top_logprobs)};
  }
  if (request.stop.size() > kStopStrings) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("at most {} stop strings, found {}",
                                                          kStopStrings, request.stop.size())};
  }
  for (const std::string& stop : request.stop) {
    if (stop.size() <= kStopStringBytes && !find_invalid_utf8(stop)) continue;
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("a stop string must be UTF-8 of at most {} bytes", kStopStringBytes)};
  }
  return {};
}

}  // namespace potluck
