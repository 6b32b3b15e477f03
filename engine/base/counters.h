// Sets of counters, each stated once: a struct of uint64_t members and of other sets that lists
// them all in counters(). From that list come the sum and the difference of two sets, and all
// other uses: JSON, the wire, metrics. A member that is not listed does not compile.
//
// The list is a static constexpr function that returns a tuple, in which a row of the type Counter
// gives a member its name, and a row of the type CounterGroup takes in all counters of another set:
//
//   std::tuple(Counter{"bytes", &Traffic::bytes}, CounterGroup{&Traffic::requests})
//
// WorkCounters in engine/experts/work_counters.h is an example. Sets are plain values: the owner of
// one decides which thread may use it.
// A name, once shown, stays: scripts and dashboards read it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>

#include "engine/base/clock.h"

namespace potluck {

// A time that went by, never less than none.
inline uint64_t nanoseconds(Duration duration) {
  return static_cast<uint64_t>(std::max<Duration::rep>(duration.count(), 0));
}

enum class CounterKind : uint8_t {
  kSum,    // grows from 0 while the program runs
  kGauge,  // how many there are now
};

// `name` is what people and programs read: unique among all sets that are shown together, with the
// unit at its end (`_ns`, `_bytes`) unless it counts events.
template <class Set>
struct Counter {
  const char* name;
  uint64_t Set::*member;
  CounterKind kind = CounterKind::kSum;
};
template <class Set>
Counter(const char*, uint64_t Set::*) -> Counter<Set>;
template <class Set>
Counter(const char*, uint64_t Set::*, CounterKind) -> Counter<Set>;

// A set within a set.
template <class Set, class Part>
struct CounterGroup {
  Part Set::*member;
};
template <class Set, class Part>
CounterGroup(Part Set::*) -> CounterGroup<Set, Part>;

template <class Set>
concept CounterSet = requires {
  Set::counters();
};

namespace counters_detail {

template <class Set>
constexpr size_t listed_bytes(const Counter<Set>&) {
  return sizeof(uint64_t);
}
template <class Set, class Part>
constexpr size_t listed_bytes(const CounterGroup<Set, Part>&) {
  return sizeof(Part);
}

template <class Row, class Set, class Visit, class... Sets>
void visit_row(const Counter<Row>& counter, const Visit& visit, Set& set, Sets&... sets) {
  visit(counter, set.*counter.member, sets.*counter.member...);
}

}  // namespace counters_detail

// visit(counter, value of the first set, value of the second, ...) for each counter, in the order
// of the lists, groups included.
template <class Visit, class Set, class... Sets>
void visit_counters(const Visit& visit, Set& set, Sets&... sets);

namespace counters_detail {

template <class Row, class Part, class Visit, class... Sets>
void visit_row(const CounterGroup<Row, Part>& group, const Visit& visit, Sets&... sets) {
  visit_counters(visit, sets.*group.member...);
}

}  // namespace counters_detail

template <class Visit, class Set, class... Sets>
void visit_counters(const Visit& visit, Set& set, Sets&... sets) {
  using Plain = std::remove_const_t<Set>;
  static_assert(std::apply(
                    [](const auto&... rows) {
                      return (counters_detail::listed_bytes(rows) + ... + size_t{0});
                    },
                    Plain::counters()) == sizeof(Plain),
                "counters() must list every member");
  std::apply(
      [&](const auto&... rows) { (counters_detail::visit_row(rows, visit, set, sets...), ...); },
      Plain::counters());
}

template <CounterSet Set>
Set& operator+=(Set& sum, const Set& more) {
  visit_counters([](const auto&, uint64_t& value, uint64_t other) { value += other; }, sum, more);
  return sum;
}

template <CounterSet Set>
Set operator+(Set sum, const Set& more) {
  sum += more;
  return sum;
}

// What happened between two looks at the same counters; of gauges, what the later look saw.
template <CounterSet Set>
Set operator-(Set later, const Set& earlier) {
  visit_counters(
      [](const auto& counter, uint64_t& value, uint64_t before) {
        if (counter.kind == CounterKind::kSum) value -= before;
      },
      later, earlier);
  return later;
}

}  // namespace potluck
