// Lists that the schema has as flat columns of plain numbers. Kinds of fields, as in field_kinds.h;
// the two tables stand in several fields of the schema, and read and write these themselves.
// Internal to the codec; plain values.
#pragma once

#include <vector>

#include <capnp/list.h>

#include "protocol/field_kinds.h"
#include "protocol/message.h"
#include "protocol/schema/wire.capnp.h"

namespace potluck::fields {

// Three numbers each: layer, expert and slice, the last below `slices`.
struct Units {
  uint32_t slices;
  const char* name;

  static uint32_t count(const std::vector<UnitId>& units);
  static size_t words(const std::vector<UnitId>& units);
  static void fill(const std::vector<UnitId>& units, capnp::List<uint16_t>::Builder list);
  void read(capnp::List<uint16_t>::Reader got, FieldChecks& checks,
            std::vector<UnitId>* units) const;
};

// Of 0 and 1, one bit each.
struct Flags {
  uint32_t limit;
  const char* name;

  uint32_t count(const std::vector<uint8_t>& flags) const;
  static size_t words(const std::vector<uint8_t>& flags);
  static void fill(const std::vector<uint8_t>& flags, capnp::List<bool>::Builder list);
  void read(capnp::List<bool>::Reader got, FieldChecks& checks, std::vector<uint8_t>* flags) const;
};

// The rows of a Compute and their calls, which name slices below `slices`.
struct CallTable {
  uint32_t slices;

  static size_t words(const std::vector<ComputeRow>& rows);
  static void write(const std::vector<ComputeRow>& rows, wire::Compute::Builder out);
  void read(wire::Compute::Reader in, FieldChecks& checks, std::vector<ComputeRow>* rows) const;
};

// Indices into a roster, a list for each of `units` units, or none at all.
struct HolderTable {
  using Holders = std::vector<std::vector<uint16_t>>;
  size_t units;

  static size_t words(const Holders& holders);
  void write(const Holders& holders, wire::Assignment::Builder out) const;
  void read(wire::Assignment::Reader in, FieldChecks& checks, Holders* holders) const;
};

}  // namespace potluck::fields
