// The kinds of fields that messages have. A row of message_fields.h names one for each field: how
// it is written, and what is accepted from a peer. Internal to the codec; plain values.
//
// A kind has read(got, checks, &value), which takes what stands in the schema's field if it keeps
// to the limits. Numbers, enums, text and bytes are written as they are, unless the kind has
// to_wire(). A kind of a list also has count(value), words(value) and fill(value, list).
#pragma once

#include <algorithm>
#include <limits>

#include "engine/base/limits.h"
#include "protocol/field_checks.h"
#include "protocol/peer_text.h"

namespace potluck::fields {

// How the code made from the schema reaches a field: set as a whole, or a list to be filled.
template <class Reader, class Got, class Builder, class Given>
struct Slot {
  Got (Reader::*get)() const;
  void (Builder::*set)(Given);
};
template <class Reader, class Got, class Builder, class Given>
constexpr Slot<Reader, Got, Builder, Given> slot(Got (Reader::*get)() const,
                                                 void (Builder::*set)(Given)) {
  return {get, set};
}

template <class Reader, class Got, class Builder, class Filled>
struct ListSlot {
  Got (Reader::*get)() const;
  Filled (Builder::*init)(unsigned count);
};
template <class Reader, class Got, class Builder, class Filled>
constexpr ListSlot<Reader, Got, Builder, Filled> list_slot(Got (Reader::*get)() const,
                                                           Filled (Builder::*init)(unsigned)) {
  return {get, init};
}

// So many bytes, in whole words.
constexpr size_t words_for(size_t bytes) {
  return (bytes + 7) / 8;
}

// --- numbers -------------------------------------------------------------------------------------

// Of any value.
struct Any {
  template <class Got, class Value>
  void read(Got got, FieldChecks&, Value* value) const {
    static_assert(sizeof(Got) == sizeof(Value));
    *value = static_cast<Value>(got);
  }
};

// The same in every message.
struct Fixed {
  const char* name;

  void read(uint64_t got, FieldChecks& checks, const uint32_t* value) const {
    checks.equal(got, *value, name);
  }
};

// One that does not fit the schema's field becomes the largest that does.
struct Count {
  template <class Given>
  static Given to_wire(uint64_t value) {
    return static_cast<Given>(std::min<uint64_t>(value, std::numeric_limits<Given>::max()));
  }
  void read(uint64_t got, FieldChecks&, uint64_t* value) const { *value = got; }
};

struct AtMost {
  uint64_t limit;
  const char* name;

  template <class Number>
  void read(Number got, FieldChecks& checks, Number* value) const {
    *value = checks.at_most(got, limit, name);
  }
};

struct Below {
  uint64_t bound;
  const char* name;

  template <class Number>
  void read(Number got, FieldChecks& checks, Number* value) const {
    *value = checks.below(got, bound, name);
  }
};

// Not 0, and a multiple of `step`.
struct OneTo {
  uint64_t limit;
  const char* name;
  uint32_t step = 1;

  void read(uint32_t got, FieldChecks& checks, uint32_t* value) const {
    *value = checks.one_to(got, limit, step, name);
  }
};

// An enum of the schema with the same values in the same order, up to `last`.
template <class Enum>
struct Enumeration {
  Enum last;
  const char* name;

  template <class Got>
  void read(Got got, FieldChecks& checks, Enum* value) const {
    *value = checks.value(got, last, name);
  }
};
template <class Enum>
Enumeration(Enum, const char*) -> Enumeration<Enum>;

// --- text and bytes ------------------------------------------------------------------------------

// For people. What is sent keeps to what receivers accept.
struct Text {
  const char* name;

  template <class Given>
  static std::string to_wire(const std::string& value) {
    return clean_text(value, limits::kTextBytes);
  }
  void read(capnp::Text::Reader got, FieldChecks& checks, std::string* value) const {
    *value = checks.text(got, name);
  }
};

struct Endpoint {
  const char* name;

  void read(capnp::Text::Reader got, FieldChecks& checks, std::string* value) const {
    *value = checks.endpoint(got, name);
  }
};

struct EndpointOrNothing {
  const char* name;

  void read(capnp::Text::Reader got, FieldChecks& checks, std::string* value) const {
    *value = checks.endpoint_or_nothing(got, name);
  }
};

// Digests, keys and the like: exactly as many bytes as the value has.
struct Bytes {
  const char* name;

  template <size_t kSize>
  void read(capnp::Data::Reader got, FieldChecks& checks, std::array<uint8_t, kSize>* value) const {
    checks.bytes(got, name, value);
  }
};

// The same, where zeros stand for nothing and are not written.
struct BytesOrNothing {
  const char* name;

  template <size_t kSize>
  static bool absent(const std::array<uint8_t, kSize>& value) {
    return value == std::array<uint8_t, kSize>{};
  }
  template <size_t kSize>
  void read(capnp::Data::Reader got, FieldChecks& checks, std::array<uint8_t, kSize>* value) const {
    if (got.size() != 0) checks.bytes(got, name, value);
  }
};

// Written for receivers of earlier versions, and not looked at.
struct Unread {};

// A list of structs that have rows of their own; flat_lists.h has the other lists.
struct List {
  uint32_t limit;
  const char* name;
};

}  // namespace potluck::fields
