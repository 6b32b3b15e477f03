// Why columns: an element of a list of structs takes whole words of 8 bytes and a tag, while a call
// takes 7 bytes in columns and a unit 6. The price is that columns can contradict each other, so
// their lengths are compared before anything is indexed by them.
#include "protocol/flat_lists.h"

#include <cmath>
#include <limits>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"

namespace potluck::fields {
namespace {

// The columns of a Compute's table of rows and calls. Each accessor is called once: reading a list
// twice would count twice against the traversal limit.
struct CallColumns {
  capnp::List<int32_t>::Reader fraction_bits;
  capnp::List<uint16_t>::Reader call_counts;
  capnp::List<uint16_t>::Reader experts;
  capnp::List<uint8_t>::Reader slices;
  capnp::List<float>::Reader weights;
};

bool columns_fit(const CallColumns& in, FieldChecks& checks) {
  uint32_t rows = in.call_counts.size();
  uint32_t calls = in.experts.size();
  if (rows == 0) return checks.corrupt("rows", "expected at least one, found none");
  checks.at_most(rows, limits::kRowsPerMessage, "rows");
  checks.at_most(calls, limits::kCallsPerMessage, "calls");
  checks.equal(in.fraction_bits.size(), rows, "count of fraction bits");
  checks.equal(in.slices.size(), calls, "count of slices");
  checks.equal(in.weights.size(), calls, "count of weights");
  if (checks.failed()) return false;
  uint64_t counted = 0;
  for (uint32_t row = 0; row < rows; ++row) {
    if (in.call_counts[row] == 0) return checks.corrupt("calls of a row", "expected at least 1");
    counted += in.call_counts[row];
  }
  checks.equal(calls, counted, "count of calls");
  return !checks.failed();
}

UnitCall read_call(const CallColumns& in, uint32_t call, uint32_t slices, FieldChecks& checks) {
  UnitCall unit;
  unit.expert = checks.below(in.experts[call], limits::kExperts, "expert");
  unit.slice = checks.below(in.slices[call], slices, "slice");
  unit.weight = in.weights[call];
  if (!std::isfinite(unit.weight)) checks.corrupt("weight", "expected a finite number");
  return unit;
}

size_t call_count(const std::vector<ComputeRow>& rows) {
  size_t calls = 0;
  for (const ComputeRow& row : rows) calls += row.calls.size();
  return calls;
}

size_t holder_count(const HolderTable::Holders& holders) {
  size_t count = 0;
  for (const auto& of_unit : holders) count += of_unit.size();
  return count;
}

}  // namespace

// When writing, CHECK is enough: these are our own values, which were bounded where they came in.
uint32_t Units::count(const std::vector<UnitId>& units) {
  CHECK(units.size() <= limits::kHeaderBytes / 8);
  return static_cast<uint32_t>(3 * units.size());
}

size_t Units::words(const std::vector<UnitId>& units) {
  return words_for(3 * units.size() * sizeof(uint16_t));
}

void Units::fill(const std::vector<UnitId>& units, capnp::List<uint16_t>::Builder list) {
  for (uint32_t i = 0; i < units.size(); ++i) {
    list.set(3 * i, units[i].layer);
    list.set(3 * i + 1, units[i].expert);
    list.set(3 * i + 2, units[i].slice);
  }
}

void Units::read(capnp::List<uint16_t>::Reader got, FieldChecks& checks,
                 std::vector<UnitId>* units) const {
  if (got.size() % 3 != 0) {
    checks.corrupt(name, "expected three numbers each, found " + std::to_string(got.size()));
    return;
  }
  units->resize(got.size() / 3);  // no more than the header has room for
  for (uint32_t i = 0; i < units->size(); ++i) {
    UnitId& unit = (*units)[i];
    unit.layer = checks.below(got[3 * i], limits::kLayers, name);
    unit.expert = checks.below(got[3 * i + 1], limits::kExperts, name);
    unit.slice = checks.below(got[3 * i + 2], slices, name);
  }
}

uint32_t Flags::count(const std::vector<uint8_t>& flags) const {
  CHECK(flags.size() <= limit);
  return static_cast<uint32_t>(flags.size());
}

size_t Flags::words(const std::vector<uint8_t>& flags) {
  return words_for(flags.size());  // eight times what bits take
}

void Flags::fill(const std::vector<uint8_t>& flags, capnp::List<bool>::Builder list) {
  for (uint32_t i = 0; i < flags.size(); ++i) list.set(i, flags[i] != 0);
}

void Flags::read(capnp::List<bool>::Reader got, FieldChecks& checks,
                 std::vector<uint8_t>* flags) const {
  flags->resize(checks.at_most(got.size(), limit, name));
  for (uint32_t i = 0; i < flags->size(); ++i) (*flags)[i] = got[i] ? 1 : 0;
}

size_t CallTable::words(const std::vector<ComputeRow>& rows) {
  constexpr size_t kRowBytes = sizeof(int32_t) + sizeof(uint16_t);
  constexpr size_t kCallBytes = sizeof(uint16_t) + sizeof(uint8_t) + sizeof(float);
  constexpr size_t kColumns = 5;  // a pointer and a begun word each
  return 2 * kColumns + words_for(kRowBytes * rows.size() + kCallBytes * call_count(rows));
}

void CallTable::write(const std::vector<ComputeRow>& rows, wire::Compute::Builder out) {
  size_t calls = call_count(rows);
  CHECK(rows.size() <= limits::kRowsPerMessage && calls <= limits::kCallsPerMessage);
  auto row_count = static_cast<uint32_t>(rows.size());
  auto fraction_bits = out.initFractionBits(row_count);
  auto call_counts = out.initCallCounts(row_count);
  auto experts = out.initExperts(static_cast<uint32_t>(calls));
  auto slices = out.initUnitSlices(static_cast<uint32_t>(calls));
  auto weights = out.initWeights(static_cast<uint32_t>(calls));
  uint32_t call = 0;
  for (uint32_t r = 0; r < row_count; ++r) {
    CHECK(rows[r].calls.size() <= std::numeric_limits<uint16_t>::max());
    fraction_bits.set(r, rows[r].fraction_bits);
    call_counts.set(r, static_cast<uint16_t>(rows[r].calls.size()));
    for (const UnitCall& unit : rows[r].calls) {
      CHECK(unit.slice < limits::kSlices);
      experts.set(call, unit.expert);
      slices.set(call, static_cast<uint8_t>(unit.slice));
      weights.set(call, unit.weight);
      ++call;
    }
  }
}

void CallTable::read(wire::Compute::Reader in, FieldChecks& checks,
                     std::vector<ComputeRow>* rows) const {
  CallColumns columns{in.getFractionBits(), in.getCallCounts(), in.getExperts(), in.getUnitSlices(),
                      in.getWeights()};
  if (!columns_fit(columns, checks)) return;
  rows->resize(columns.call_counts.size());
  uint32_t call = 0;
  for (uint32_t r = 0; r < rows->size(); ++r) {
    ComputeRow& row = (*rows)[r];
    row.fraction_bits = checks.between(columns.fraction_bits[r], kMinFractionBits, kMaxFractionBits,
                                       "fraction bits");
    row.calls.resize(columns.call_counts[r]);
    for (UnitCall& unit : row.calls) unit = read_call(columns, call++, slices, checks);
  }
}

size_t HolderTable::words(const Holders& holders) {
  constexpr size_t kColumns = 2;
  return 2 * kColumns + words_for(holders.size() + sizeof(uint16_t) * holder_count(holders));
}

void HolderTable::write(const Holders& holders, wire::Assignment::Builder out) const {
  CHECK(holders.empty() || holders.size() == units);
  auto counts = out.initHolderCounts(static_cast<uint32_t>(holders.size()));
  auto indices = out.initHolders(static_cast<uint32_t>(holder_count(holders)));
  uint32_t next = 0;
  for (uint32_t i = 0; i < holders.size(); ++i) {
    CHECK(holders[i].size() <= limits::kHoldersPerUnit);
    counts.set(i, static_cast<uint8_t>(holders[i].size()));
    for (uint16_t holder : holders[i]) indices.set(next++, holder);
  }
}

void HolderTable::read(wire::Assignment::Reader in, FieldChecks& checks, Holders* holders) const {
  auto counts = in.getHolderCounts();
  auto indices = in.getHolders();
  if (counts.size() != 0) checks.equal(counts.size(), units, "count of holder counts");
  uint64_t counted = 0;
  for (uint8_t count : counts) {
    counted += checks.at_most(count, limits::kHoldersPerUnit, "holders of a unit");
  }
  checks.equal(indices.size(), counted, "count of holders");
  if (checks.failed()) return;
  holders->resize(counts.size());
  uint32_t next = 0;
  for (uint32_t i = 0; i < counts.size(); ++i) {
    (*holders)[i].resize(counts[i]);
    for (uint16_t& holder : (*holders)[i]) {
      holder = checks.below(indices[next++], limits::kWorkers, "holder");
    }
  }
}

}  // namespace potluck::fields
