// Headers to messages: the only place where numbers and text from a peer become values. Every field
// is compared with the limit in its row of message_fields.h; each accessor of a list or text is
// called once, so the traversal limit can be the size of the header.
#include <cstring>
#include <optional>
#include <type_traits>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <fmt/format.h>
#include <kj/exception.h>

#include "engine/base/limits.h"
#include "protocol/codec.h"
#include "protocol/message_fields.h"

namespace potluck {
namespace {

// Header, the message's struct, its lists, a struct in a list: nothing is nested deeper.
constexpr int kNesting = 4;

// Reads the fields of one struct. It reads on after the first one that does not fit: what it finds
// there is harmless, and is thrown away.
template <class Reader>
class FieldReader {
 public:
  template <class Value>
  using As = Value;

  FieldReader(Reader in, FieldChecks& checks) : in_(in), checks_(checks) {}

  template <class Value, class Got, class Builder, class Given, class Kind>
  void operator()(Value& value, fields::Slot<Reader, Got, Builder, Given> slot, const Kind& kind) {
    kind.read((in_.*slot.get)(), checks_, &value);
  }

  template <class Value, class Got, class Builder, class Given>
  void operator()(Value&, fields::Slot<Reader, Got, Builder, Given>, const fields::Unread&) {}

  template <class Value, class Got, class Builder, class Filled, class Kind>
  void operator()(Value& value, fields::ListSlot<Reader, Got, Builder, Filled> slot,
                  const Kind& kind) {
    kind.read((in_.*slot.get)(), checks_, &value);
  }

  template <class Element, class Got, class Builder, class Filled>
  void operator()(std::vector<Element>& value, fields::ListSlot<Reader, Got, Builder, Filled> slot,
                  const fields::List& list) {
    auto elements = (in_.*slot.get)();
    value.resize(checks_.at_most(elements.size(), list.limit, list.name));
    for (uint32_t i = 0; i < value.size(); ++i) {
      FieldReader<decltype(elements[i])> element(elements[i], checks_);
      fields::visit(element, value[i]);
    }
  }

  template <class Value, class Table>
  void operator()(Value& value, const Table& table) {
    table.read(in_, checks_, &value);
  }

  void expect(bool holds, const char* field, const char* what) {
    if (!holds) checks_.corrupt(field, what);
  }

 private:
  Reader in_;
  FieldChecks& checks_;
};

template <class Kind>
void read(wire::Header::Reader root, FieldChecks& checks, Kind* message) {
  auto in = (root.*fields::Verb<Kind>::kGet)();
  FieldReader<decltype(in)> reader(in, checks);
  fields::visit(reader, *message);
}

// The one kind among `Kinds` that the header has.
template <class... Kinds>
Result<Message> read_one_of(wire::Header::Reader root, const std::variant<Kinds...>*) {
  Message message;
  std::optional<FieldChecks> checks;
  auto try_kind = [&]<class Kind>(std::type_identity<Kind>) {
    if (root.which() != fields::Verb<Kind>::kWhich) return false;
    checks.emplace(fields::Verb<Kind>::kName);
    read(root, *checks, &message.emplace<Kind>());
    return true;
  };
  if (!(try_kind(std::type_identity<Kinds>{}) || ...)) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("header: unknown verb {}", static_cast<uint32_t>(root.which()))};
  }
  if (checks->failed()) return checks->error();
  return message;
}

Error bad_header(const std::string& what) {
  return Error{ErrorCode::kCorrupt, "header: " + what};
}

// Copies the header into aligned words after its prefix was found to announce exactly one segment
// of exactly the rest. The copy is needed: libzmq hands out small messages as slices of its receive
// buffer, at any address (all of 3,100 measured ones up to 4 KiB were misaligned), and Cap'n Proto
// as Debian builds it throws on misaligned words, on x86 too.
Result<std::vector<capnp::word>> aligned_words(ByteSpan header) {
  constexpr size_t kWord = sizeof(capnp::word);
  if (header.size() > limits::kHeaderBytes) {
    return bad_header(
        fmt::format("expected at most {} bytes, found {}", limits::kHeaderBytes, header.size()));
  }
  if (header.size() < 2 * kWord || header.size() % kWord != 0) {
    return bad_header(fmt::format(
        "expected whole words of 8 bytes and at least two, found {} bytes", header.size()));
  }
  size_t words = header.size() / kWord;
  if (load<uint32_t>(header.data()) != 0 || load<uint32_t>(header.data() + 4) != words - 1) {
    return bad_header(fmt::format("expected one segment of {} words", words - 1));
  }
  std::vector<capnp::word> aligned(words);
  std::memcpy(aligned.data(), header.data(), header.size());
  return aligned;
}

}  // namespace

Result<Message> decode_header(ByteSpan header) {
  auto words = aligned_words(header);
  if (!words) return words.error();
  capnp::ReaderOptions options;
  // Pointers of a message may all lead to the same list, so a small message can be long to read.
  // The limit counts every word each time it is reached, so reading costs at most what was
  // received.
  options.traversalLimitInWords = words->size();
  options.nestingLimit = kNesting;
  try {
    capnp::FlatArrayMessageReader reader(kj::arrayPtr(words->data(), words->size()), options);
    return read_one_of(reader.getRoot<wire::Header>(), static_cast<const Message*>(nullptr));
  } catch (const kj::Exception& exception) {
    // Cap'n Proto checks pointers when they are followed, so this may come from any getter above.
    return bad_header(exception.getDescription().cStr());
  }
}

}  // namespace potluck
