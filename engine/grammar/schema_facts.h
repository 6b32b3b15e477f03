// SchemaFacts: what JSON schemas that hold at the same time say about a value, taken together, in a
// form that can be drawn. Plain values; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "engine/grammar/json_text.h"
#include "engine/grammar/text_automaton.h"
#include "engine/template/json.h"

namespace potluck {

// A schema and where it stands ("properties.name"), for errors.
struct SchemaRef {
  const JsonValue* schema = nullptr;
  std::string path;
};

// Schemas that hold at the same time. Of the groups of alternatives in `decided`, one was chosen
// and is among them.
struct SchemaSet {
  std::vector<SchemaRef> schemas;
  std::set<const JsonValue*> decided;

  // Equal for sets that say the same.
  std::pair<std::set<const JsonValue*>, std::set<const JsonValue*>> key() const;
};

enum SchemaType : uint32_t {
  kNullType = 1,
  kBooleanType = 2,
  kObjectType = 4,
  kArrayType = 8,
  kStringType = 16,
  kWholeType = 32,
  kFractionType = 64,  // numbers that are not whole
  kNumberTypes = kWholeType | kFractionType,
  kAllTypes = 127,
};

struct SchemaFacts {
  struct Object {  // of one schema
    std::vector<std::pair<std::string, SchemaRef>> properties;
    std::optional<SchemaRef> additional;
  };
  struct Array {
    std::vector<SchemaRef> prefix;
    std::optional<SchemaRef> items;
  };
  struct Branches {
    const JsonValue* group = nullptr;
    std::vector<SchemaRef> branches;
    bool exclusive = false;  // oneOf
    std::string path;
  };

  uint32_t types = kAllTypes;
  uint32_t hinted_types = 0;                            // those whose keywords there are
  std::optional<std::vector<const JsonValue*>> values;  // enum and const
  NumberRange range;                                    // of numbers that need not be whole
  std::string inexact;      // a bound of them that cannot be drawn; or empty
  NumberRange whole_range;  // of whole numbers; both bounds are in it
  uint32_t least_characters = 0;
  uint32_t most_characters = Grammar::kEndless;
  std::vector<TextAutomaton> texts;  // pattern and format
  std::vector<Object> objects;
  std::vector<std::string> required;
  std::vector<Array> arrays;
  uint32_t least_items = 0;
  uint32_t most_items = Grammar::kEndless;
  std::vector<Branches> branches;

  // Schemas without a type say nothing of types that their keywords are not about; of these,
  // answers have none.
  uint32_t drawn_types() const;
  // Nothing for objects and arrays that are to be compared with more than their type.
  std::optional<bool> allows(const JsonValue& value) const;
  // What all of them say of this property; nothing: it may not be there.
  std::optional<SchemaSet> property(const std::string& name) const;
  // What they say of properties that they do not name; nothing: there are none.
  std::optional<SchemaSet> additional() const;
  std::vector<std::string> names() const;  // of properties, in order
  std::optional<SchemaSet> item(size_t index) const;
  size_t prefix_items() const;
};

// Reads schemas; `root` is what references are looked up in, and must outlive all that is read.
class SchemaReader {
 public:
  explicit SchemaReader(const JsonValue& root) : root_(root) {}

  // An error also when all that was read is more than limits::kSchemaWork.
  Result<SchemaFacts> read(const SchemaSet& set);

 private:
  const JsonValue& root_;
  uint64_t work_ = 0;
  uint64_t pattern_work_ = 0;
};

uint32_t type_of(const JsonValue& value);
bool same_json(const JsonValue& a, const JsonValue& b);

}  // namespace potluck
