// Two registers of 128 bits with the operators of one of 256: the vectors of a panel's 8 rows for
// instruction sets of 4 lanes (neon/shim.h, sse41/shim.h). In an unnamed namespace, like
// everything that is compiled for several processors. Internal to engine/kernels; no state.
#pragma once

#include <cstdint>

namespace potluck::tiles {
namespace {

template <class T>
struct RegisterPair {
  typedef T Register __attribute__((vector_size(16)));
  Register low{};   // rows 0 to 3
  Register high{};  // rows 4 to 7

  friend RegisterPair operator+(RegisterPair a, RegisterPair b) {
    return {a.low + b.low, a.high + b.high};
  }
  friend RegisterPair operator-(RegisterPair a, RegisterPair b) {
    return {a.low - b.low, a.high - b.high};
  }
  friend RegisterPair operator*(RegisterPair a, RegisterPair b) {
    return {a.low * b.low, a.high * b.high};
  }
  friend RegisterPair operator/(RegisterPair a, RegisterPair b) {
    return {a.low / b.low, a.high / b.high};
  }
  friend RegisterPair operator&(RegisterPair a, RegisterPair b) {
    return {a.low & b.low, a.high & b.high};
  }
  friend RegisterPair operator|(RegisterPair a, RegisterPair b) {
    return {a.low | b.low, a.high | b.high};
  }
  friend RegisterPair operator^(RegisterPair a, RegisterPair b) {
    return {a.low ^ b.low, a.high ^ b.high};
  }
  friend RegisterPair operator+(RegisterPair a, T b) { return {a.low + b, a.high + b}; }
  friend RegisterPair operator-(RegisterPair a, T b) { return {a.low - b, a.high - b}; }
  friend RegisterPair operator*(RegisterPair a, T b) { return {a.low * b, a.high * b}; }
  friend RegisterPair operator&(RegisterPair a, T b) { return {a.low & b, a.high & b}; }
  friend RegisterPair operator|(RegisterPair a, T b) { return {a.low | b, a.high | b}; }
  friend RegisterPair operator^(RegisterPair a, T b) { return {a.low ^ b, a.high ^ b}; }
  friend RegisterPair operator<<(RegisterPair a, int n) { return {a.low << n, a.high << n}; }
  friend RegisterPair operator>>(RegisterPair a, int n) { return {a.low >> n, a.high >> n}; }
  friend RegisterPair operator-(RegisterPair a) { return {-a.low, -a.high}; }
  RegisterPair& operator+=(RegisterPair b) { return *this = *this + b; }
  RegisterPair& operator-=(RegisterPair b) { return *this = *this - b; }
  RegisterPair& operator|=(RegisterPair b) { return *this = *this | b; }
};

// What rows of floats need at their ends, where speed does not matter.
struct PairOfFloats {
  using Float = RegisterPair<float>;

  static Float row_floats(const float* from) {
    Float values;
    __builtin_memcpy(&values.low, from, sizeof values.low);
    __builtin_memcpy(&values.high, from + 4, sizeof values.high);
    return values;
  }
  static void store_row(float* to, Float values) { __builtin_memcpy(to, &values, sizeof values); }
  static void store_rows(Float values, uint32_t rows, float* y) {
    if (rows >= 8) return store_row(y, values);
    __builtin_memcpy(y, &values, rows * sizeof(float));
  }
  static Float load_first(const float* from, uint32_t count) {
    float all[8] = {};
    __builtin_memcpy(all, from, count * sizeof(float));
    return row_floats(all);
  }
  static Float keep_first(Float values, uint32_t count) {
    float all[8];
    store_row(all, values);
    return load_first(all, count);
  }
  static Float broadcast(const float* from) { return Float{} + *from; }
  // Comparisons are false with a NaN.
  static Float where_greater(Float a, Float b, Float yes, Float no) {
    return {a.low > b.low ? yes.low : no.low, a.high > b.high ? yes.high : no.high};
  }
};

}  // namespace
}  // namespace potluck::tiles
