// AnswerGrammar: what a client asks an answer to look like, as a grammar of the whole answer of a
// model: reasoning may come first, in the marks of its template, and calls are written as the
// template writes them. Pure; any thread.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/result.h"
#include "engine/chat/answer_stream.h"
#include "engine/chat/call_grammar.h"
#include "engine/grammar/grammar.h"

namespace potluck {

struct GbnfForm {
  std::string text;
};
// JSON that a schema allows.
struct JsonForm {
  JsonValue schema;
  bool is_object = false;  // objects alone, whatever it says
};
using AnswerForm = std::variant<GbnfForm, JsonForm, CallForm>;

// Calls in one answer, at most, where several may be made.
inline constexpr uint32_t kMostRequiredCalls = 16;

// The grammar's entries.
enum class AnswerEntry : size_t {
  kAnswer,     // the answer begins
  kReasoning,  // the prompt has begun the reasoning; the answer follows
  kEither,     // the answer begins, or the reasoning does
};

// Errors say what of the form is not supported. Calls need a template that writes them.
Result<std::shared_ptr<const Grammar>> make_answer_grammar(const AnswerForm& form,
                                                           const AnswerSyntax& syntax);

// Where answers to this prompt begin.
AnswerEntry answer_entry(const AnswerSyntax& syntax, std::string_view prompt);

}  // namespace potluck
