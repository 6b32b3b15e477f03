// Which field of the schema carries which counter of a reply, for both directions of the codec.
#pragma once

#include <algorithm>
#include <limits>
#include <tuple>

#include "engine/experts/work_counters.h"
#include "protocol/schema/wire.capnp.h"

namespace potluck {

// The schema's fields are of 32 or 64 bits; a count that does not fit becomes the largest that
// does.
template <class Value>
struct WorkField {
  uint64_t WorkCounters::*member;
  Value (wire::Partial::Reader::*get)() const;
  void (wire::Partial::Builder::*set)(Value);

  void read(const wire::Partial::Reader& in, WorkCounters* work) const {
    work->*member = (in.*get)();
  }
  void write(const WorkCounters& work, wire::Partial::Builder& out) const {
    constexpr uint64_t kMost = std::numeric_limits<Value>::max();
    (out.*set)(static_cast<Value>(std::min(work.*member, kMost)));
  }
};
template <class Value>
WorkField(uint64_t WorkCounters::*, Value (wire::Partial::Reader::*)() const,
          void (wire::Partial::Builder::*)(Value)) -> WorkField<Value>;

constexpr auto work_fields() {
  using Set = WorkCounters;
  using In = wire::Partial::Reader;
  using Out = wire::Partial::Builder;
  return std::tuple(WorkField{&Set::compute, &In::getComputeNs, &Out::setComputeNs},
                    WorkField{&Set::disk, &In::getDiskNs, &Out::setDiskNs},
                    WorkField{&Set::disk_bytes, &In::getDiskBytes, &Out::setDiskBytes},
                    WorkField{&Set::cache_hits, &In::getCacheHits, &Out::setCacheHits},
                    WorkField{&Set::cache_misses, &In::getCacheMisses, &Out::setCacheMisses},
                    WorkField{&Set::guessed_bytes, &In::getGuessedBytes, &Out::setGuessedBytes},
                    WorkField{&Set::guesses_used, &In::getGuessesUsed, &Out::setGuessesUsed},
                    WorkField{&Set::guesses_wasted, &In::getGuessesWasted, &Out::setGuessesWasted});
}
static_assert(std::tuple_size_v<decltype(work_fields())> ==
                  std::tuple_size_v<decltype(WorkCounters::counters())>,
              "every counter of a worker crosses the wire");

inline WorkCounters read_work_counters(const wire::Partial::Reader& in) {
  WorkCounters work;
  std::apply([&](const auto&... fields) { (fields.read(in, &work), ...); }, work_fields());
  return work;
}

inline void write_work_counters(const WorkCounters& work, wire::Partial::Builder& out) {
  std::apply([&](const auto&... fields) { (fields.write(work, out), ...); }, work_fields());
}

}  // namespace potluck
