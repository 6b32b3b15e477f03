// Values and the heap that owns them. Nothing is freed before the rendering ends: values may refer
// to each other in circles, and the budget bounds what they take in all.
#include "engine/template/value.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/utf8.h"

namespace potluck {
namespace {

// A text on the heap, and what the object takes beside its bytes.
struct OwnedText {
  Lease lease;
  MarkedText text;
};

// What a shared object takes beside itself, about: its counts and the allocator's own.
constexpr uint64_t kSharedBytes = 48;
// The name of a key that is a number.
constexpr uint64_t kNumberNameBytes = 256;

}  // namespace

std::optional<int64_t> Value::whole_number() const {
  // In Python a boolean is an integer.
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
  // Texts are UTF-8 and never hold this byte, so the key 1 is not the key "1". True is the key 1,
  // as in Python.
  const std::string name = "\xFF" + std::to_string(*whole);
  return std::make_shared<const MarkedText>(name, Trust::kTemplate, nullptr);
}

std::optional<size_t> Map::position(std::string_view name) const {
  budget_.spend_text(name.size());
  if (entries_.size() >= kIndexFrom) {
    const auto found = index_.find(name);
    return found == index_.end() ? std::nullopt : std::optional<size_t>(found->second);
  }
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].name->size() != name.size()) continue;
    budget_.spend_text(name.size());
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

void Map::set(const Value& key, Value value) {
  auto name = name_of(key);
  CHECK(name.has_value());
  if (const auto at = position((*name)->bytes())) {
    entries_[*at].value = std::move(value);
    return;
  }
  add({std::move(*name), key, std::move(value)});
}

// What an entry takes beside itself: a place in the index, and the name of a number.
uint64_t Map::bytes_beside(const Entry& entry) {
  return kIndexBytes + (entry.key.text() == nullptr ? kNumberNameBytes : 0);
}

void Map::add(Entry entry) {
  const uint64_t bytes = bytes_beside(entry);
  if (!budget_.take(bytes)) return;
  index_bytes_ += bytes;
  const size_t before = entries_.size();
  entries_.push_back(std::move(entry));
  if (entries_.size() == before || entries_.size() < kIndexFrom) return;
  index_from(entries_.size() == kIndexFrom ? 0 : before);
}

// The views stay valid: they look into texts that never change.
void Map::index_from(size_t first) {
  for (size_t i = first; i < entries_.size(); ++i) {
    budget_.spend_text(entries_[i].name->size());
    index_.emplace(entries_[i].name->bytes(), i);
  }
}

bool Map::remove(const Value& key, Value* removed) {
  const auto name = name_of(key);
  const auto at = name ? position((*name)->bytes()) : std::nullopt;
  if (!at) return false;
  budget_.spend(1 + entries_.size());
  *removed = entries_[*at].value;
  if (entries_.size() > kIndexFrom) {
    index_.erase(entries_[*at].name->bytes());
    // The order of entries is what templates see, so those behind move up and their places change.
    for (auto& [known, position] : index_) position -= position > *at ? 1 : 0;
  } else {
    index_.clear();  // it is built again when it is needed again
  }
  const uint64_t bytes = bytes_beside(entries_[*at]);
  index_bytes_ -= bytes;
  budget_.give_back(bytes);
  entries_.erase(*at);
  return true;
}

// The spare ones stand in for what is refused: callers get something to write into and need no
// check; the budget ends the rendering soon after.
Heap::Heap(BudgetLimits limits)
    : budget_(limits),
      spare_text_(std::make_shared<const MarkedText>(nullptr)),
      spare_list_{Values(&budget_), false},
      spare_map_(&budget_),
      spare_loop_{Values(&budget_), 0} {}

TextPtr Heap::own(MarkedText text) {
  budget_.spend(1);
  Lease lease(&budget_, sizeof(OwnedText) + kSharedBytes);
  if (!lease.granted()) return spare_text_;
  auto owner = std::make_shared<OwnedText>(OwnedText{std::move(lease), std::move(text)});
  return TextPtr(owner, &owner->text);
}

Value Heap::list(Values items) {
  budget_.spend(1);
  if (!budget_.take(sizeof(List))) return Value::of(&spare_list_);
  return Value::of(&lists_.emplace_back(List{std::move(items), false}));
}

Value Heap::tuple(Values items) {
  Value tuple = list(std::move(items));
  if (tuple.list() != &spare_list_) tuple.list()->is_tuple = true;
  return tuple;
}

Value Heap::pair(const Value& first, const Value& second) {
  Values items(&budget_);
  if (items.reserve(2)) {
    items.push_back(first);
    items.push_back(second);
  }
  return tuple(std::move(items));
}

Map* Heap::map() {
  budget_.spend(1);
  return budget_.take(sizeof(Map)) ? &maps_.emplace_back(&budget_) : &spare_map_;
}

Loop* Heap::loop(Values items) {
  budget_.spend(1);
  if (!budget_.take(sizeof(Loop))) return &spare_loop_;
  return &loops_.emplace_back(Loop{std::move(items), 0});
}

void Heap::set(Map* map, const Value& key, Value value) {
  map->set(key, std::move(value));
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
  // Parsed trees are bounded already; this is for trees that were built by hand.
  if (depth > limits::kJsonDepth) {
    return Error{ErrorCode::kLimit, fmt::format("JSON nests deeper than {}", limits::kJsonDepth)};
  }
  if (const auto* truth = std::get_if<bool>(&json.data)) return Value::of(*truth);
  if (const auto* whole = std::get_if<int64_t>(&json.data)) return Value::of(*whole);
  if (const auto* real = std::get_if<double>(&json.data)) return Value::of(*real);
  if (const std::string* bytes = json.text()) return checked_text(*bytes, trust);
  if (const JsonValue::Array* array = json.array()) {
    Values items(&budget_);
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
