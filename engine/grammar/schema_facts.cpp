#include "engine/grammar/schema_facts.h"

#include <algorithm>
#include <cmath>

#include "engine/base/utf8.h"

namespace potluck {
namespace {

bool is_false(const JsonValue& schema) {
  const bool* flag = std::get_if<bool>(&schema.data);
  return flag != nullptr && !*flag;
}

double number_of(const JsonValue& value) {
  const auto* whole = std::get_if<int64_t>(&value.data);
  return whole != nullptr ? static_cast<double>(*whole) : std::get<double>(value.data);
}

bool is_number(const JsonValue& value) {
  return (type_of(value) & kNumberTypes) != 0;
}

bool is_in(double number, const NumberRange& range) {
  const auto bound = [](int64_t whole) { return static_cast<double>(whole); };
  if (range.low && (range.low_open ? number <= bound(*range.low) : number < bound(*range.low))) {
    return false;
  }
  return !range.high ||
         !(range.high_open ? number >= bound(*range.high) : number > bound(*range.high));
}

bool accepts(const TextAutomaton& automaton, const std::vector<uint32_t>& codes) {
  if (automaton.states.empty()) return false;
  std::set<uint32_t> at{0};
  for (const uint32_t code : codes) {
    std::set<uint32_t> next;
    for (const uint32_t state : at) {
      for (const TextAutomaton::Edge& edge : automaton.states[state].edges) {
        const bool fits = std::ranges::any_of(edge.ranges, [code](const CodeRange& range) {
          return code >= range.first && code <= range.last;
        });
        if (fits) next.insert(edge.to);
      }
    }
    at = std::move(next);
  }
  return std::ranges::any_of(at, [&](uint32_t state) { return automaton.states[state].accepts; });
}

const SchemaRef* find(const SchemaFacts::Object& object, const std::string& name) {
  const auto found = std::ranges::find_if(
      object.properties, [&](const auto& property) { return property.first == name; });
  return found == object.properties.end() ? nullptr : &found->second;
}

// Nothing if one of them allows no value at all.
std::optional<SchemaSet> all_of(std::vector<SchemaRef> schemas) {
  for (const SchemaRef& ref : schemas) {
    if (is_false(*ref.schema)) return std::nullopt;
  }
  return SchemaSet{std::move(schemas), {}};
}

}  // namespace

std::pair<std::set<const JsonValue*>, std::set<const JsonValue*>> SchemaSet::key() const {
  std::set<const JsonValue*> all;
  for (const SchemaRef& ref : schemas) all.insert(ref.schema);
  return {std::move(all), decided};
}

uint32_t type_of(const JsonValue& value) {
  if (value.is_null()) return kNullType;
  if (std::holds_alternative<bool>(value.data)) return kBooleanType;
  if (value.object() != nullptr) return kObjectType;
  if (value.array() != nullptr) return kArrayType;
  if (value.text() != nullptr) return kStringType;
  const auto* real = std::get_if<double>(&value.data);
  return real == nullptr || *real == std::floor(*real) ? kWholeType : kFractionType;
}

bool same_json(const JsonValue& a, const JsonValue& b) {
  if (is_number(a) && is_number(b)) return number_of(a) == number_of(b);
  if (a.array() != nullptr && b.array() != nullptr) {
    return std::ranges::equal(*a.array(), *b.array(), same_json);
  }
  if (a.object() != nullptr && b.object() != nullptr) {
    const auto has = [&](const auto& member) {
      return std::ranges::any_of(*b.object(), [&](const auto& other) {
        return member.first == other.first && same_json(member.second, other.second);
      });
    };
    return a.object()->size() == b.object()->size() && std::ranges::all_of(*a.object(), has);
  }
  if (type_of(a) != type_of(b)) return false;
  if (a.text() != nullptr) return *a.text() == *b.text();
  const bool* flag = std::get_if<bool>(&a.data);
  return flag == nullptr ? a.is_null() : *flag == std::get<bool>(b.data);
}

uint32_t SchemaFacts::drawn_types() const {
  if (types == kAllTypes && hinted_types != 0) return hinted_types;
  return types;
}

std::optional<bool> SchemaFacts::allows(const JsonValue& value) const {
  const uint32_t type = type_of(value);
  if ((types & type) == 0) return false;
  if (values && std::ranges::none_of(
                    *values, [&](const JsonValue* other) { return same_json(value, *other); })) {
    return false;
  }
  if (type == kWholeType) return is_in(number_of(value), whole_range);
  if (type == kFractionType) {
    if (!inexact.empty()) return std::nullopt;
    return is_in(number_of(value), range);
  }
  if (type == kStringType) {
    const std::vector<uint32_t> codes = characters_of(*value.text());
    return codes.size() >= least_characters && codes.size() <= most_characters &&
           std::ranges::all_of(
               texts, [&](const TextAutomaton& automaton) { return accepts(automaton, codes); });
  }
  const bool is_plain = type != kObjectType && type != kArrayType;
  if (is_plain || (hinted_types & type) == 0) return true;
  return std::nullopt;
}

std::vector<std::string> SchemaFacts::names() const {
  std::vector<std::string> names;
  std::set<std::string> known;
  for (const Object& object : objects) {
    for (const auto& property : object.properties) {
      if (known.insert(property.first).second) names.push_back(property.first);
    }
  }
  for (const std::string& name : required) {
    if (known.insert(name).second) names.push_back(name);
  }
  return names;
}

std::optional<SchemaSet> SchemaFacts::property(const std::string& name) const {
  std::vector<SchemaRef> schemas;
  for (const Object& object : objects) {
    const SchemaRef* known = find(object, name);
    if (known != nullptr) {
      schemas.push_back(*known);
    } else if (object.additional) {
      schemas.push_back(*object.additional);
    }
  }
  return all_of(std::move(schemas));
}

std::optional<SchemaSet> SchemaFacts::additional() const {
  std::vector<SchemaRef> schemas;
  bool is_closed = false;
  for (const Object& object : objects) {
    if (object.additional) schemas.push_back(*object.additional);
    is_closed = is_closed || !object.properties.empty();
  }
  // Who names properties and says nothing of others gets those alone.
  if (schemas.empty() && is_closed) return std::nullopt;
  return all_of(std::move(schemas));
}

size_t SchemaFacts::prefix_items() const {
  size_t longest = 0;
  for (const Array& array : arrays) longest = std::max(longest, array.prefix.size());
  return longest;
}

std::optional<SchemaSet> SchemaFacts::item(size_t index) const {
  std::vector<SchemaRef> schemas;
  for (const Array& array : arrays) {
    if (index < array.prefix.size()) {
      schemas.push_back(array.prefix[index]);
    } else if (array.items) {
      schemas.push_back(*array.items);
    }
  }
  return all_of(std::move(schemas));
}

}  // namespace potluck
