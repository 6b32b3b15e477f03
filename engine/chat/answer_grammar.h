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
// Calls, and nothing else: from one to `most`, each of one of the functions.
struct CallForm {
  struct Function {
    std::string name;
    JsonValue parameters;  // a schema; null: any object
  };
  std::vector<Function> functions;
  uint32_t most = 1;
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

// Names of tokens that mark parts of an answer, which a grammar may ask for.
std::vector<std::string> answer_marks(const AnswerSyntax& syntax);

}  // namespace potluck
