// JSON schemas (the common part of draft 2020-12) as rules of a grammar: every text that the rule
// allows is JSON that the schema allows, in the order of its properties, with little white space.
// Keywords that cannot be met are errors that name them; some schemas get fewer texts than they
// allow (docs/API.md, "Answers in a given form"). Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/base/result.h"
#include "engine/grammar/grammar_builder.h"
#include "engine/grammar/schema_facts.h"
#include "engine/template/json.h"

namespace potluck {

// Rules that schemas of one grammar share, once one of them has drawn them.
struct JsonRules {
  std::optional<GrammarBuilder::Rule> space;
  std::optional<GrammarBuilder::Rule> string;
  std::optional<GrammarBuilder::Rule> number;
  std::optional<GrammarBuilder::Rule> whole_number;
};

struct JsonSchemaOptions {
  std::string avoided;     // no string holds this; may be empty
  bool is_object = false;  // only objects, whatever the schema says
};

Result<GrammarBuilder::Rule> draw_json_schema(const JsonValue& schema,
                                              const JsonSchemaOptions& options, JsonRules* rules,
                                              GrammarBuilder* builder);

// Draws schemas within `root`, where references are looked up, one after the other: what they may
// take is bounded for all of them together. Everything must outlive it.
class JsonSchemaDrawer {
 public:
  JsonSchemaDrawer(const JsonValue& root, JsonSchemaOptions options, JsonRules* rules,
                   GrammarBuilder* builder);
  ~JsonSchemaDrawer();
  JsonSchemaDrawer(const JsonSchemaDrawer&) = delete;
  JsonSchemaDrawer& operator=(const JsonSchemaDrawer&) = delete;

  Result<GrammarBuilder::Rule> draw(const SchemaSet& set);

 private:
  struct Work;
  std::unique_ptr<Work> work_;
};

// At most one space, or a line end and an indentation.
GrammarBuilder::Rule draw_json_space(GrammarBuilder* builder);

}  // namespace potluck
