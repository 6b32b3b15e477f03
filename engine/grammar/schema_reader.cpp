#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/regular_expression.h"
#include "engine/grammar/schema_facts.h"
#include "engine/grammar/schema_formats.h"

namespace potluck {
namespace {

Error at(const std::string& path, std::string_view message) {
  return {ErrorCode::kInvalidArgument,
          path.empty() ? std::string(message) : fmt::format("{}: {}", path, message)};
}

std::string below(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

// They say nothing about what is valid.
constexpr std::string_view kAnnotations[] = {
    "title",         "description",      "default",
    "examples",      "example",          "$schema",
    "$id",           "$comment",         "$defs",
    "definitions",   "$anchor",          "deprecated",
    "readOnly",      "writeOnly",        "$vocabulary",
    "discriminator", "contentMediaType", "contentEncoding"};

struct TypeName {
  std::string_view name;
  uint32_t types;
};
constexpr TypeName kTypeNames[] = {{"null", kNullType},     {"boolean", kBooleanType},
                                   {"object", kObjectType}, {"array", kArrayType},
                                   {"string", kStringType}, {"integer", kWholeType},
                                   {"number", kNumberTypes}};

class FactsReader {
 public:
  FactsReader(const JsonValue& root, const SchemaSet& set, uint64_t work, uint64_t pattern_work)
      : root_(root), decided_(set.decided), work_(work), pattern_work_(pattern_work) {}

  Status add(const SchemaRef& ref, uint32_t depth) {
    if (const bool* flag = std::get_if<bool>(&ref.schema->data)) {
      if (!*flag) facts_.types = 0;
      return {};
    }
    if (ref.schema->object() == nullptr) return at(ref.path, "a schema must be an object");
    if (done_.contains(ref.schema)) return {};
    if (depth > limits::kSchemaNesting) {
      return at(ref.path, "$ref and allOf lead back to where they stand, or too deep");
    }
    SchemaFacts::Object object;
    SchemaFacts::Array array;
    object_ = &object;
    array_ = &array;
    for (const auto& [key, value] : *ref.schema->object()) {
      if (Status status = read(key, value, below(ref.path, key)); !status) return status;
    }
    const bool says_object = !object.properties.empty() || object.additional;
    if (says_object) facts_.objects.push_back(std::move(object));
    if (!array.prefix.empty() || array.items) facts_.arrays.push_back(std::move(array));
    if (Status status = add_parts(ref, depth); !status) return status;
    done_.insert(ref.schema);
    return {};
  }

  SchemaFacts take() { return std::move(facts_); }
  uint64_t work() const { return work_; }
  uint64_t pattern_work() const { return pattern_work_; }

 private:
  using Handler = Status (FactsReader::*)(const JsonValue& value, const std::string& path);
  struct Keyword {
    std::string_view name;
    Handler handler;
    uint32_t types;  // that it is about
  };
  static const Keyword kKeywords[];

  Status read(const std::string& key, const JsonValue& value, const std::string& path) {
    const size_t listed = value.array() != nullptr    ? value.array()->size()
                          : value.object() != nullptr ? value.object()->size()
                                                      : 0;
    if (listed > limits::kSchemaList) {
      return at(path, fmt::format("at most {} entries, found {}", limits::kSchemaList, listed));
    }
    work_ += 1 + listed;
    if (work_ > limits::kSchemaWork) {
      return Error{ErrorCode::kLimit, "the schema is too large or has too many combinations"};
    }
    if (std::ranges::find(kAnnotations, key) != std::end(kAnnotations)) return {};
    if (key.starts_with("x-") || key == "$ref" || key == "allOf") return {};
    const Keyword* known = keyword(key);
    if (known == nullptr) return at(path, "this keyword is not supported");
    facts_.hinted_types |= known->types;
    return (this->*known->handler)(value, path);
  }
  static const Keyword* keyword(std::string_view name);

  // What belongs to the same schema, or is named by it.
  Status add_parts(const SchemaRef& ref, uint32_t depth) {
    for (const auto& [key, value] : *ref.schema->object()) {
      const std::string path = below(ref.path, key);
      if (key == "$ref") {
        auto target = resolve(value, path);
        if (!target) return target.error();
        if (Status status = add(*target, depth + 1); !status) return status;
      } else if (key == "allOf") {
        if (value.array() == nullptr) return at(path, "expected an array of schemas");
        for (size_t i = 0; i < value.array()->size(); ++i) {
          const SchemaRef part{&(*value.array())[i], fmt::format("{}[{}]", path, i)};
          if (Status status = add(part, depth + 1); !status) return status;
        }
      }
    }
    return {};
  }

  Result<SchemaRef> resolve(const JsonValue& value, const std::string& path) const {
    const std::string* text = value.text();
    if (text == nullptr || !text->starts_with('#')) {
      return at(path, "only references into the schema itself are supported: '#/$defs/..'");
    }
    const JsonValue* found = &root_;
    std::string_view rest = std::string_view(*text).substr(1);
    while (!rest.empty()) {
      if (rest.front() != '/') return at(path, "expected '#/..'");
      const size_t end = std::min(rest.find('/', 1), rest.size());
      found = member(*found, unescaped(rest.substr(1, end - 1)));
      if (found == nullptr) return at(path, fmt::format("there is no '{}'", *text));
      rest.remove_prefix(end);
    }
    return SchemaRef{found, *text == "#" ? std::string() : text->substr(2)};
  }
  static std::string unescaped(std::string_view part) {
    std::string name(part);
    for (const auto& [escape, character] : {std::pair("~1", "/"), std::pair("~0", "~")}) {
      for (size_t i = name.find(escape); i != std::string::npos; i = name.find(escape, i + 1)) {
        name.replace(i, 2, character);
      }
    }
    return name;
  }
  static const JsonValue* member(const JsonValue& value, const std::string& name) {
    if (value.array() != nullptr) {
      size_t index = 0;
      const bool is_index = !name.empty() && name.size() < 7 &&
                            std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
      if (is_index) index = static_cast<size_t>(std::stoul(name));
      return is_index && index < value.array()->size() ? &(*value.array())[index] : nullptr;
    }
    if (value.object() == nullptr) return nullptr;
    const auto found = std::ranges::find_if(*value.object(),
                                            [&](const auto& entry) { return entry.first == name; });
    return found == value.object()->end() ? nullptr : &found->second;
  }

  Status type(const JsonValue& value, const std::string& path) {
    uint32_t allowed = 0;
    JsonValue::Array single;
    if (value.text() != nullptr) single.push_back(value);
    const JsonValue::Array* names = value.text() != nullptr ? &single : value.array();
    if (names == nullptr) return at(path, "expected the name of a type or an array of names");
    for (const JsonValue& name : *names) {
      const auto* known = name.text() == nullptr
                              ? std::end(kTypeNames)
                              : std::ranges::find(kTypeNames, *name.text(), &TypeName::name);
      if (known == std::end(kTypeNames)) {
        return at(path, "expected null, boolean, object, array, string, integer or number");
      }
      allowed |= known->types;
    }
    facts_.types &= allowed;
    return {};
  }

  Status properties(const JsonValue& value, const std::string& path) {
    if (value.object() == nullptr) return at(path, "expected an object of schemas");
    for (const auto& [name, schema] : *value.object()) {
      object_->properties.emplace_back(name, SchemaRef{&schema, below(path, name)});
    }
    return {};
  }
  Status required(const JsonValue& value, const std::string& path) {
    if (value.array() == nullptr) return at(path, "expected an array of names");
    for (const JsonValue& name : *value.array()) {
      if (name.text() == nullptr) return at(path, "expected an array of names");
      const auto known = std::ranges::find(facts_.required, *name.text());
      if (known == facts_.required.end()) facts_.required.push_back(*name.text());
    }
    return {};
  }
  Status additional(const JsonValue& value, const std::string& path) {
    object_->additional = SchemaRef{&value, path};
    return {};
  }

  Status items(const JsonValue& value, const std::string& path) {
    if (value.array() != nullptr)
      return at(path, "expected a schema; for several, use prefixItems");
    array_->items = SchemaRef{&value, path};
    return {};
  }
  Status prefix_items(const JsonValue& value, const std::string& path) {
    if (value.array() == nullptr) return at(path, "expected an array of schemas");
    for (size_t i = 0; i < value.array()->size(); ++i) {
      array_->prefix.push_back({&(*value.array())[i], fmt::format("{}[{}]", path, i)});
    }
    return {};
  }

  static Result<uint32_t> count(const JsonValue& value, const std::string& path) {
    const auto* whole = std::get_if<int64_t>(&value.data);
    if (whole != nullptr && *whole >= 0 && *whole <= limits::kGrammarRounds) {
      return static_cast<uint32_t>(*whole);
    }
    return at(path, fmt::format("expected a whole number from 0 to {}", limits::kGrammarRounds));
  }
  static Status raise(const JsonValue& value, const std::string& path, uint32_t* bound) {
    auto number = count(value, path);
    if (!number) return number.error();
    *bound = std::max(*bound, *number);
    return {};
  }
  static Status lower(const JsonValue& value, const std::string& path, uint32_t* bound) {
    auto number = count(value, path);
    if (!number) return number.error();
    *bound = std::min(*bound, *number);
    return {};
  }
  Status min_items(const JsonValue& value, const std::string& path) {
    return raise(value, path, &facts_.least_items);
  }
  Status max_items(const JsonValue& value, const std::string& path) {
    return lower(value, path, &facts_.most_items);
  }
  Status min_length(const JsonValue& value, const std::string& path) {
    return raise(value, path, &facts_.least_characters);
  }
  Status max_length(const JsonValue& value, const std::string& path) {
    return lower(value, path, &facts_.most_characters);
  }
  // Every object has none at least.
  Status min_properties(const JsonValue& value, const std::string& path) {
    const auto* whole = std::get_if<int64_t>(&value.data);
    if (whole != nullptr && *whole == 0) return {};
    return at(path, "this keyword is not supported");
  }

  Status values(const JsonValue& value, const std::string& path) {
    if (value.array() == nullptr) return at(path, "expected an array of values");
    std::vector<const JsonValue*> kept;
    for (const JsonValue& one : *value.array()) {
      const bool fits =
          !facts_.values || std::ranges::any_of(*facts_.values, [&](const auto* other) {
            return same_json(one, *other);
          });
      if (fits) kept.push_back(&one);
    }
    facts_.values = std::move(kept);
    return {};
  }
  Status constant(const JsonValue& value, const std::string&) {
    const bool fits = !facts_.values || std::ranges::any_of(*facts_.values, [&](const auto* other) {
      return same_json(value, *other);
    });
    facts_.values.emplace();
    if (fits) facts_.values->push_back(&value);
    return {};
  }

  Status bound(const JsonValue& value, const std::string& path, bool is_low, bool is_open) {
    if ((type_of(value) & kNumberTypes) == 0) return at(path, "expected a number");
    const auto* whole = std::get_if<int64_t>(&value.data);
    const double number =
        whole != nullptr ? static_cast<double>(*whole) : std::get<double>(value.data);
    if (!(std::abs(number) <= static_cast<double>(kLargestBound))) {
      return at(path, "bounds beyond 2^53 are not supported");
    }
    const double rounded = is_low ? std::ceil(number) : std::floor(number);
    const bool is_whole = rounded == number;
    tighten({static_cast<int64_t>(rounded), is_low, is_open && is_whole}, &facts_.whole_range);
    const bool is_exact =
        is_whole && (!is_open || std::abs(number) <= static_cast<double>(kLargestOpenBound));
    if (is_exact) {
      tighten({static_cast<int64_t>(number), is_low, is_open}, &facts_.range);
    } else {
      facts_.inexact = path;
    }
    return {};
  }
  struct Bound {
    int64_t number;
    bool is_low;
    bool is_open;
  };
  static void tighten(const Bound& bound, NumberRange* range) {
    std::optional<int64_t>& known = bound.is_low ? range->low : range->high;
    bool& known_open = bound.is_low ? range->low_open : range->high_open;
    const bool is_tighter =
        !known || (bound.is_low ? bound.number > *known : bound.number < *known);
    if (!is_tighter && bound.number != *known) return;
    known_open = bound.is_open || (!is_tighter && known_open);
    known = bound.number;
  }
  Status minimum(const JsonValue& value, const std::string& path) {
    return bound(value, path, true, false);
  }
  Status maximum(const JsonValue& value, const std::string& path) {
    return bound(value, path, false, false);
  }
  Status exclusive_minimum(const JsonValue& value, const std::string& path) {
    return bound(value, path, true, true);
  }
  Status exclusive_maximum(const JsonValue& value, const std::string& path) {
    return bound(value, path, false, true);
  }

  Status pattern(const JsonValue& value, const std::string& path) {
    if (value.text() == nullptr) return at(path, "expected a regular expression");
    auto automaton = automaton_of_expression(*value.text(), &pattern_work_);
    if (!automaton) return automaton.error().in(path);
    facts_.texts.push_back(std::move(*automaton));
    return {};
  }
  Status format(const JsonValue& value, const std::string& path) {
    const auto expression =
        value.text() == nullptr ? std::nullopt : expression_of_format(*value.text());
    if (!expression) {
      return at(path, "supported are date, time, date-time, uuid, email, ipv4 and uri");
    }
    auto automaton = automaton_of_expression(*expression, &pattern_work_);
    if (!automaton) return automaton.error().in(path);
    facts_.texts.push_back(std::move(*automaton));
    return {};
  }

  Status branches(const JsonValue& value, const std::string& path, bool exclusive) {
    if (value.array() == nullptr || value.array()->empty()) {
      return at(path, "expected an array of schemas");
    }
    if (decided_.contains(&value)) return {};
    SchemaFacts::Branches group{&value, {}, exclusive, path};
    for (size_t i = 0; i < value.array()->size(); ++i) {
      group.branches.push_back({&(*value.array())[i], fmt::format("{}[{}]", path, i)});
    }
    facts_.branches.push_back(std::move(group));
    return {};
  }
  Status any_of(const JsonValue& value, const std::string& path) {
    return branches(value, path, false);
  }
  Status one_of(const JsonValue& value, const std::string& path) {
    return branches(value, path, true);
  }

  const JsonValue& root_;
  const std::set<const JsonValue*>& decided_;
  uint64_t work_;  // so far, of all sets
  uint64_t pattern_work_;
  SchemaFacts facts_;
  std::set<const JsonValue*> done_;
  SchemaFacts::Object* object_ = nullptr;  // of the schema that is being read
  SchemaFacts::Array* array_ = nullptr;
};

const FactsReader::Keyword FactsReader::kKeywords[] = {
    {"type", &FactsReader::type, 0},
    {"enum", &FactsReader::values, 0},
    {"const", &FactsReader::constant, 0},
    {"anyOf", &FactsReader::any_of, 0},
    {"oneOf", &FactsReader::one_of, 0},
    {"properties", &FactsReader::properties, kObjectType},
    {"required", &FactsReader::required, kObjectType},
    {"additionalProperties", &FactsReader::additional, kObjectType},
    {"minProperties", &FactsReader::min_properties, kObjectType},
    {"items", &FactsReader::items, kArrayType},
    {"prefixItems", &FactsReader::prefix_items, kArrayType},
    {"minItems", &FactsReader::min_items, kArrayType},
    {"maxItems", &FactsReader::max_items, kArrayType},
    {"minLength", &FactsReader::min_length, kStringType},
    {"maxLength", &FactsReader::max_length, kStringType},
    {"pattern", &FactsReader::pattern, kStringType},
    {"format", &FactsReader::format, kStringType},
    {"minimum", &FactsReader::minimum, kNumberTypes},
    {"maximum", &FactsReader::maximum, kNumberTypes},
    {"exclusiveMinimum", &FactsReader::exclusive_minimum, kNumberTypes},
    {"exclusiveMaximum", &FactsReader::exclusive_maximum, kNumberTypes},
};

const FactsReader::Keyword* FactsReader::keyword(std::string_view name) {
  const auto* found = std::ranges::find(kKeywords, name, &Keyword::name);
  return found == std::end(kKeywords) ? nullptr : found;
}

}  // namespace

Result<SchemaFacts> SchemaReader::read(const SchemaSet& set) {
  FactsReader reader(root_, set, work_, pattern_work_);
  for (const SchemaRef& ref : set.schemas) {
    if (Status status = reader.add(ref, 0); !status) return status.error();
  }
  work_ = reader.work();
  pattern_work_ = reader.pattern_work();
  SchemaFacts facts = reader.take();
  // Whole numbers have the next one for a bound that is not in the range.
  NumberRange& whole = facts.whole_range;
  if (whole.low && std::exchange(whole.low_open, false)) ++*whole.low;
  if (whole.high && std::exchange(whole.high_open, false)) --*whole.high;
  return facts;
}

}  // namespace potluck
