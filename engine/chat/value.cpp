#include "engine/chat/value.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/utf8.h"

namespace potluck {
namespace {

// A text that gives its memory back to the budget when the last value lets go of it.
struct MeteredText {
  MeteredText(MarkedText moved, Budget* from) : text(std::move(moved)), budget(from) {
    bytes = text.memory_bytes() + sizeof(MeteredText);
    budget->take(bytes);
  }
  ~MeteredText() { budget->give_back(bytes); }
  MeteredText(const MeteredText&) = delete;
  MeteredText& operator=(const MeteredText&) = delete;

  MarkedText text;
  Budget* budget;
  uint64_t bytes;
};

// A mapping takes a key and a value per entry, and about as much again for its index.
constexpr uint64_t kEntryBytes = 2 * sizeof(Map::Entry);

}  // namespace

std::optional<int64_t> Value::whole_number() const {
  if (const bool* truth = boolean()) return *truth ? 1 : 0;
  if (const int64_t* whole = integer()) return *whole;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const double* real = floating()) return *real;
  if (const auto whole = whole_number()) return static_cast<double>(*whole);
  return std::nullopt;
}

const char* Value::kind_name() const {
  if (is_undefined()) return "undefined";
  if (is_none()) return "None";
  if (boolean() != nullptr) return "bool";
  if (integer() != nullptr) return "int";
  if (floating() != nullptr) return "float";
  if (text() != nullptr) return "str";
  if (list() != nullptr) return list()->is_tuple ? "tuple" : "list";
  if (map() != nullptr) return map()->is_namespace ? "namespace" : "dict";
  return loop() != nullptr ? "loop" : "function";
}

std::optional<TextPtr> Map::name_of(const Value& key) {
  if (key.text() != nullptr) return key.shared_text();
  const auto whole = key.whole_number();
  if (!whole) return std::nullopt;
  // Texts are UTF-8 and never hold this byte.
  return std::make_shared<const MarkedText>("\xFF" + std::to_string(*whole), Trust::kTemplate);
}

std::optional<size_t> Map::position(std::string_view name) const {
  if (entries_.size() >= kIndexFrom) {
    const auto found = index_.find(name);
    return found == index_.end() ? std::nullopt : std::optional<size_t>(found->second);
  }
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].name->bytes() == name) return i;
  }
  return std::nullopt;
}

const Value* Map::find(std::string_view text) const {
  const auto at = position(text);
  return at ? &entries_[*at].value : nullptr;
}

const Value* Map::find(const Value& key) const {
  const auto name = name_of(key);
  return name ? find((*name)->bytes()) : nullptr;
}

bool Map::set(const Value& key, Value value) {
  auto name = name_of(key);
  CHECK(name.has_value());
  if (const auto at = position((*name)->bytes())) {
    entries_[*at].value = std::move(value);
    return false;
  }
  add({std::move(*name), key, std::move(value)});
  return true;
}

void Map::add(Entry entry) {
  entries_.push_back(std::move(entry));
  if (entries_.size() < kIndexFrom) return;
  // The views stay valid: they look into texts that never change.
  const size_t first = entries_.size() == kIndexFrom ? 0 : entries_.size() - 1;
  for (size_t i = first; i < entries_.size(); ++i) index_.emplace(entries_[i].name->bytes(), i);
}

std::optional<Value> Map::remove(const Value& key) {
  const auto name = name_of(key);
  const auto at = name ? position((*name)->bytes()) : std::nullopt;
  if (!at) return std::nullopt;
  std::vector<Entry> kept = std::move(entries_);
  entries_.clear();
  index_.clear();
  Value removed = kept[*at].value;
  kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(*at));
  for (Entry& entry : kept) add(std::move(entry));
  return removed;
}

Value Heap::text(MarkedText text) {
  budget_.spend_text(text.size());
  auto owner = std::make_shared<MeteredText>(std::move(text), &budget_);
  return Value::of(TextPtr(owner, &owner->text));
}

Value Heap::list(std::vector<Value> items) {
  budget_.spend(items.size());
  budget_.take(sizeof(List) + items.size() * sizeof(Value));
  return Value::of(&lists_.emplace_back(List{std::move(items), false}));
}

Value Heap::tuple(std::vector<Value> items) {
  Value tuple = list(std::move(items));
  tuple.list()->is_tuple = true;
  return tuple;
}

Map* Heap::map() {
  budget_.take(sizeof(Map));
  return &maps_.emplace_back();
}

Loop* Heap::loop(std::vector<Value> items) {
  budget_.spend(items.size());
  budget_.take(sizeof(Loop));
  return &loops_.emplace_back(Loop{std::move(items)});
}

void Heap::append(List* list, Value value) {
  budget_.take(sizeof(Value));
  list->items.push_back(std::move(value));
}

void Heap::set(Map* map, const Value& key, Value value) {
  budget_.spend_text(key.text() == nullptr ? 0 : key.text()->size());
  if (map->set(key, std::move(value))) budget_.take(kEntryBytes);
}

void Heap::set(Map* map, std::string_view key, Value value) {
  set(map, text(key, Trust::kTemplate), std::move(value));
}

Result<Value> Heap::checked_text(const std::string& text, Trust trust) {
  if (const auto offset = find_invalid_utf8(text)) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("expected UTF-8, found something else at byte {}", *offset)};
  }
  return this->text(text, trust);
}

Result<Value> Heap::from_json(const JsonValue& json, Trust trust) {
  return from_json(json, trust, 0);
}

Result<Value> Heap::from_json(const JsonValue& json, Trust trust, uint32_t depth) {
  budget_.spend(1);
  if (Status status = budget_.check(); !status) return status.error();
  // Trees may also be built by hand.
  if (depth > limits::kJsonDepth) {
    return Error{ErrorCode::kLimit, fmt::format("JSON nests deeper than {}", limits::kJsonDepth)};
  }
  if (const auto* truth = std::get_if<bool>(&json.data)) return Value::of(*truth);
  if (const auto* whole = std::get_if<int64_t>(&json.data)) return Value::of(*whole);
  if (const auto* real = std::get_if<double>(&json.data)) return Value::of(*real);
  if (const std::string* bytes = json.text()) return checked_text(*bytes, trust);
  if (const JsonValue::Array* array = json.array()) {
    std::vector<Value> items;
    for (const JsonValue& element : *array) {
      auto item = from_json(element, trust, depth + 1);
      if (!item) return item.error();
      items.push_back(std::move(*item));
    }
    return list(std::move(items));
  }
  if (const JsonValue::Object* object = json.object()) {
    Map* made = map();
    for (const auto& [name, element] : *object) {
      auto key = checked_text(name, trust);
      if (!key) return key.error();
      auto value = from_json(element, trust, depth + 1);
      if (!value) return value.error();
      set(made, *key, std::move(*value));
    }
    return Value::of(made);
  }
  return Value::none();
}

}  // namespace potluck
