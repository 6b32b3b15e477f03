// Values of the template language, and the heap that owns the lists and mappings of one rendering.
// Values are cheap to copy: text is shared, lists and mappings are referred to, as in Python. They
// may refer to each other in circles, so they live as long as the heap. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "engine/template/budget_vector.h"
#include "engine/template/json.h"
#include "engine/template/marked_text.h"

namespace potluck {

struct List;
class Map;
struct Loop;
struct Macro;

using TextPtr = std::shared_ptr<const MarkedText>;

// Functions that every template has.
enum class Function { kNamespace, kDict, kRange, kRaiseException, kStrftimeNow };

class Value {
 public:
  Value() = default;  // undefined
  static Value none() { return Value(Data(std::in_place_type<None>)); }
  static Value of(bool value) { return Value(Data(value)); }
  static Value of(int64_t value) { return Value(Data(value)); }
  static Value of(size_t value) { return of(static_cast<int64_t>(value)); }
  static Value of(double value) { return Value(Data(value)); }
  static Value of(TextPtr text) { return Value(Data(std::move(text))); }
  static Value of(List* list) { return Value(Data(list)); }
  static Value of(Map* map) { return Value(Data(map)); }
  static Value of(Loop* loop) { return Value(Data(loop)); }
  static Value of(const Macro* macro) { return Value(Data(macro)); }
  static Value of(Function function) { return Value(Data(function)); }

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  // Null where the value is of another kind. Nothing converts: a boolean is no integer here.
  const bool* boolean() const { return std::get_if<bool>(&data_); }
  const int64_t* integer() const { return std::get_if<int64_t>(&data_); }
  const double* floating() const { return std::get_if<double>(&data_); }
  const MarkedText* text() const {
    const TextPtr* text = std::get_if<TextPtr>(&data_);
    return text == nullptr ? nullptr : text->get();
  }
  TextPtr shared_text() const { return std::get<TextPtr>(data_); }  // of a text only
  List* list() const { return pointer<List*>(); }                   // tuples, too
  Map* map() const { return pointer<Map*>(); }                      // namespaces, too
  Loop* loop() const { return pointer<Loop*>(); }
  const Macro* macro() const { return pointer<const Macro*>(); }
  const Function* function() const { return std::get_if<Function>(&data_); }

  // A boolean or an integer, as arithmetic takes them.
  std::optional<int64_t> whole_number() const;
  std::optional<double> number() const;

  // The same object, or equal where values are no objects ("x is true").
  bool same_as(const Value& other) const { return data_ == other.data_; }

  const char* kind_name() const;  // as Python calls it

 private:
  struct Undefined {
    bool operator==(const Undefined&) const = default;
  };
  struct None {
    bool operator==(const None&) const = default;
  };
  using Data = std::variant<Undefined, None, bool, int64_t, double, TextPtr, List*, Map*, Loop*,
                            const Macro*, Function>;

  explicit Value(Data data) : data_(std::move(data)) {}
  template <class T>
  T pointer() const {
    const T* held = std::get_if<T>(&data_);
    return held == nullptr ? nullptr : *held;
  }

  Data data_;
};

using Values = BudgetVector<Value>;

struct List {
  Values items;
  bool is_tuple = false;
};

// Keys are texts or whole numbers and keep the order in which they came.
class Map {
 public:
  explicit Map(Budget* budget) : budget_(*budget), entries_(budget) {}
  ~Map() { budget_.give_back(index_bytes_); }
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;

  struct Entry {
    TextPtr name;  // what the key is found by: the text, or what no text can be
    Value key;
    Value value;
  };

  // Nothing for values that cannot be keys.
  static std::optional<TextPtr> name_of(const Value& key);

  const BudgetVector<Entry>& entries() const { return entries_; }
  const Value* find(std::string_view text) const;
  const Value* find(const Value& key) const;
  // The key must be one (CHECK).
  void set(const Value& key, Value value);
  // False where there is no such key.
  bool remove(const Value& key, Value* removed);

  bool is_namespace = false;

 private:
  static constexpr size_t kIndexFrom = 16;     // below it a search is faster than an index
  static constexpr uint64_t kIndexBytes = 96;  // of one entry, about, growth included
  static uint64_t bytes_beside(const Entry& entry);

  std::optional<size_t> position(std::string_view name) const;
  void add(Entry entry);
  void index_from(size_t first);

  Budget& budget_;
  uint64_t index_bytes_ = 0;
  BudgetVector<Entry> entries_;
  std::unordered_map<std::string_view, size_t> index_;
};

// What `loop` is inside a loop. When the loop has ended it has no items any more.
struct Loop {
  Values items;
  size_t index = 0;
};

// Every list, mapping and text of a rendering is made here. What the budget refuses comes out
// empty; the budget then ends the rendering.
class Heap {
 public:
  explicit Heap(BudgetLimits limits = {});
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  Budget& budget() { return budget_; }

  // Empty ones, to write into.
  MarkedText blank() { return MarkedText(&budget_); }
  Values values() { return Values(&budget_); }

  TextPtr own(MarkedText text);
  Value text(MarkedText text) { return Value::of(own(std::move(text))); }
  Value text(std::string_view bytes, Trust trust) { return text({bytes, trust, &budget_}); }
  Value list(Values items);
  Value tuple(Values items);
  Value pair(const Value& first, const Value& second);  // a tuple
  Map* map();
  Loop* loop(Values items);

  void append(List* list, Value value) { list->items.push_back(std::move(value)); }
  void set(Map* map, const Value& key, Value value);  // as Map::set()
  void set(Map* map, std::string_view key, Value value);

  // Texts in the tree get the mark; they must be UTF-8.
  Result<Value> from_json(const JsonValue& json, Trust trust);
  // JSON as it is written.
  Result<Value> parse_json(std::string_view json, Trust trust);

 private:
  Result<Value> from_json(const JsonValue& json, Trust trust, uint32_t depth);
  Result<Value> checked_text(const std::string& text, Trust trust);

  Budget budget_;  // outlives the values, which give back to it
  std::deque<List> lists_;
  std::deque<Map> maps_;
  std::deque<Loop> loops_;
  // Stand in for what is refused.
  TextPtr spare_text_;
  List spare_list_;
  Map spare_map_;
  Loop spare_loop_;
};

}  // namespace potluck
