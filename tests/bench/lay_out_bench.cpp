// How fast one thread lays out experts of the 30B-A3B shape, format by format: GB/s of the model
// file, the median of some rounds with the smallest and the largest. That is what streaming without
// a store does after each read.
#include <algorithm>
#include <array>
#include <cstdio>

#include "engine/experts/lay_out_speed.h"

namespace potluck {
namespace {

constexpr int kRounds = 9;

void measure(const BlockFormat& format, const Clock& clock) {
  ExpertShape shape{.hidden = 2048, .width = 768};
  shape.gate = shape.up = shape.down = format.type;
  ShapeTables tables(shape);
  std::array<double, kRounds> rates;
  for (double& rate : rates) rate = measure_lay_out_speed(tables, clock) / 1e9;
  std::sort(rates.begin(), rates.end());
  std::printf("%-8.*s %6.2f (%.2f-%.2f) GB/s\n", static_cast<int>(format.name.size()),
              format.name.data(), rates[kRounds / 2], rates.front(), rates.back());
}

}  // namespace
}  // namespace potluck

int main() {
  potluck::SystemClock clock;
  for (const potluck::BlockFormat& format : potluck::block_formats()) {
    potluck::measure(format, clock);
  }
  return 0;
}
