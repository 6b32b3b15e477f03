// JSON text straight into values of the heap: what the parser reports is taken from the budget as
// it comes.
#include <nlohmann/json.hpp>

#include "engine/template/value.h"

namespace potluck {
namespace {

// What the parser itself takes at most: it keeps the token it reads twice, in buffers that double.
constexpr uint64_t kParserBytesPerByte = 6;

// The parser calls these members by name; false ends it.
class ValueBuilder {
 public:
  using Json = nlohmann::json;

  ValueBuilder(Heap* heap, Trust trust) : heap_(*heap), trust_(trust) {}

  bool null() { return add(Value::none()); }
  bool boolean(bool value) { return add(Value::of(value)); }
  bool number_integer(Json::number_integer_t value) { return add(Value::of(value)); }
  bool number_unsigned(Json::number_unsigned_t value) {
    if (value > INT64_MAX) return add(Value::of(static_cast<double>(value)));
    return add(Value::of(static_cast<int64_t>(value)));
  }
  bool number_float(Json::number_float_t value, const Json::string_t&) {
    return add(Value::of(value));
  }
  // The parser has checked that it is UTF-8.
  bool string(Json::string_t& value) { return add(heap_.text(value, trust_)); }
  bool binary(Json::binary_t&) { return false; }
  bool key(Json::string_t& name) {
    open_.back().key = heap_.text(name, trust_);
    return !heap_.budget().exceeded();
  }
  bool start_array(size_t) { return open(heap_.list(heap_.values())); }
  bool start_object(size_t) { return open(Value::of(heap_.map())); }
  bool end_array() { return close(); }
  bool end_object() { return close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    error_ = fmt::format("not JSON from byte {} on", position);
    return false;
  }

  const std::string& error() const { return error_; }
  Value root() const { return root_; }

 private:
  struct Open {
    Value container;
    Value key;  // of the next value, in a mapping
  };

  bool add(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (List* list = open_.back().container.list()) {
      heap_.append(list, std::move(value));
    } else {
      heap_.set(open_.back().container.map(), open_.back().key, std::move(value));
    }
    return !heap_.budget().exceeded();
  }

  bool open(Value container) {
    if (open_.size() == limits::kJsonDepth) {
      error_ = fmt::format("JSON nests deeper than {}", limits::kJsonDepth);
      return false;
    }
    if (!add(container)) return false;
    open_.push_back({std::move(container), Value()});
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  Heap& heap_;
  Trust trust_;
  Value root_;
  std::vector<Open> open_;
  std::string error_;
};

}  // namespace

Result<Value> Heap::parse_json(std::string_view json, Trust trust) {
  budget_.spend_text(json.size());
  Lease lease(&budget_, kParserBytesPerByte * json.size());
  if (!lease.granted()) return budget_.check().error();
  ValueBuilder builder(this, trust);
  const bool parsed = nlohmann::json::sax_parse(json.begin(), json.end(), &builder);
  if (Status status = budget_.check(); !status) return status.error();
  if (parsed) return builder.root();
  return Error{ErrorCode::kInvalidArgument, builder.error().empty() ? "not JSON" : builder.error()};
}

}  // namespace potluck
