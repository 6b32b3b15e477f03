// Messages to headers. The size of the one segment is bounded beforehand, so that building never
// allocates a second one: the receiver takes no other.
#include <capnp/message.h>

#include "engine/base/check.h"
#include "protocol/codec.h"
#include "protocol/message_fields.h"

namespace potluck {
namespace {

template <class Given, class Number>
Given as_wire(Number value) {
  // A number that the schema has narrower than the struct would be cut silently; its kind has to
  // say how (to_wire()).
  static_assert(std::is_enum_v<Given> || sizeof(Given) == sizeof(Number));
  return static_cast<Given>(value);
}
template <class Given>
const std::string& as_wire(const std::string& value) {
  return value;
}
template <class Given, size_t kSize>
capnp::Data::Reader as_wire(const std::array<uint8_t, kSize>& bytes) {
  return {bytes.data(), bytes.size()};
}

// Writes the fields of one struct.
template <class Builder>
class FieldWriter {
 public:
  template <class Value>
  using As = const Value;

  explicit FieldWriter(Builder out) : out_(out) {}

  template <class Value, class Reader, class Got, class Given, class Kind>
  void operator()(const Value& value, fields::Slot<Reader, Got, Builder, Given> slot,
                  const Kind& kind) {
    if constexpr (requires { kind.absent(value); }) {
      if (kind.absent(value)) return;
    }
    if constexpr (requires { kind.template to_wire<Given>(value); }) {
      (out_.*slot.set)(kind.template to_wire<Given>(value));
    } else {
      (out_.*slot.set)(as_wire<Given>(value));
    }
  }

  template <class Value, class Reader, class Got, class Filled, class Kind>
  void operator()(const Value& value, fields::ListSlot<Reader, Got, Builder, Filled> slot,
                  const Kind& kind) {
    kind.fill(value, (out_.*slot.init)(kind.count(value)));
  }

  template <class Element, class Reader, class Got, class Filled>
  void operator()(const std::vector<Element>& value,
                  fields::ListSlot<Reader, Got, Builder, Filled> slot, const fields::List& list) {
    CHECK(value.size() <= list.limit);
    auto elements = (out_.*slot.init)(static_cast<uint32_t>(value.size()));
    for (uint32_t i = 0; i < value.size(); ++i) {
      FieldWriter<decltype(elements[i])> element(elements[i]);
      fields::visit(element, value[i]);
    }
  }

  template <class Value, class Table>
  void operator()(const Value& value, const Table& table) {
    table.write(value, out_);
  }

  void expect(bool, const char*, const char*) {}

 private:
  Builder out_;
};

size_t words_behind(const std::string& value) {
  return fields::words_for(value.size() + 1);  // it ends in a zero
}
template <size_t kSize>
size_t words_behind(const std::array<uint8_t, kSize>&) {
  return fields::words_for(kSize);
}
template <class Number>
size_t words_behind(const Number&) {
  return 0;
}

// Bounds the words that a struct takes, with all that its pointers lead to.
class WordCount {
 public:
  template <class Value>
  using As = const Value;

  size_t words() const { return words_; }

  template <class Value, class Reader, class Got, class Builder, class Given, class Kind>
  void operator()(const Value& value, fields::Slot<Reader, Got, Builder, Given>, const Kind&) {
    words_ += 1 + words_behind(value);
  }

  template <class Value, class Reader, class Got, class Builder, class Filled, class Kind>
  void operator()(const Value& value, fields::ListSlot<Reader, Got, Builder, Filled>,
                  const Kind& kind) {
    words_ += 1 + kind.words(value);
  }

  template <class Element, class Reader, class Got, class Builder, class Filled>
  void operator()(const std::vector<Element>& value, fields::ListSlot<Reader, Got, Builder, Filled>,
                  const fields::List&) {
    words_ += 2;  // the pointer, and the size of an element
    for (const Element& element : value) fields::visit(*this, element);
  }

  template <class Value, class Table>
  void operator()(const Value& value, const Table& table) {
    words_ += table.words(value);
  }

  void expect(bool, const char*, const char*) {}

 private:
  size_t words_ = 0;
};

template <class Kind>
size_t count_words(const Kind& message) {
  constexpr size_t kHeader = 3;  // the root's pointer, the verb, the pointer to the message
  WordCount count;
  fields::visit(count, message);
  return kHeader + count.words();
}

template <class Kind>
void write(wire::Header::Builder root, const Kind& message) {
  auto out = (root.*fields::Verb<Kind>::kInit)();
  FieldWriter<decltype(out)> writer(out);
  fields::visit(writer, message);
}

// The flat form of a message of one segment: segments - 1, words, then the words. This is Cap'n
// Proto's stream framing; messageToFlatArray() gives it in an array of its own, which would have to
// be copied once more.
ByteVector flatten(capnp::MessageBuilder& builder) {
  auto segments = builder.getSegmentsForOutput();
  CHECK(segments.size() == 1);
  auto content = std::as_bytes(std::span(segments[0].begin(), segments[0].size()));
  ByteWriter flat;
  flat.write(uint32_t{0});
  flat.write(static_cast<uint32_t>(segments[0].size()));
  flat.write(content);
  return flat.take();
}

}  // namespace

ByteVector encode_header(const Message& message) {
  size_t bound = std::visit([](const auto& m) { return count_words(m); }, message);
  // Zeroed by the vector, as Cap'n Proto demands of a first segment: it writes no zeros itself.
  std::vector<capnp::word> scratch(bound);
  capnp::MallocMessageBuilder builder(kj::arrayPtr(scratch.data(), scratch.size()));
  auto root = builder.initRoot<wire::Header>();
  std::visit([root](const auto& m) { write(root, m); }, message);
  return flatten(builder);
}

const char* message_name(const Message& message) {
  return std::visit([](const auto& m) { return fields::Verb<std::decay_t<decltype(m)>>::kName; },
                    message);
}

}  // namespace potluck
