// Cycles that a weight takes, by block format and instruction set, from the cache: for one row of
// activations as in decoding, and for many as in prefill (there for each weight and row). Prints
// the least and the median of many runs; the least is what a busy machine disturbs least.
//
//   formats_bench [--runs N] [--rows N] [--columns N] [--tokens N] [--isa NAME] [FORMAT...]
//
// Cycles are those of the core's clock, which is measured along with every run by a chain of
// additions: time stamp counters go on at a rate of their own. Times are those of the thread.
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "engine/base/buffer.h"
#include "engine/base/random.h"
#include "engine/kernels/kernels.h"
#include "tests/bench/random_activations.h"

namespace potluck {
namespace {

struct Options {
  uint32_t runs = 60;
  uint32_t rows = 512;
  uint32_t columns = 2048;
  uint32_t tokens = 128;
  std::string isa;
  std::vector<std::string> formats;
};

double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Additions that wait for each other take a cycle each.
double cycles_per_second() {
  constexpr uint32_t kAdditions = 200000;
  double fastest = 0;
  for (int run = 0; run < 3; ++run) {
    double begin = thread_seconds();
    uint64_t sum = 1;
#pragma GCC unroll 1
    for (uint32_t i = 0; i < kAdditions / 20; ++i) {
#pragma GCC unroll 20
      for (int add = 0; add < 20; ++add) {
        sum += sum;
        asm volatile("" : "+r"(sum));
      }
    }
    fastest = std::max(fastest, kAdditions / (thread_seconds() - begin));
  }
  return fastest;
}

// Random weights in panel layout: any bytes are legal, and clearing two bits of every half keeps
// scales finite.
Buffer random_panels(const PanelShape& shape) {
  Buffer buffer(shape.bytes());
  CounterRandom random(1);
  size_t i = 0;
  for (uint16_t& value : buffer.as<uint16_t>()) value = random.bits(i++) & 0x3fff;
  return buffer;
}

struct Cycles {
  double least;
  double median;
};

Cycles measure(const KernelTable& kernels, const BlockFormat& format, const Options& options,
               uint32_t tokens) {
  PanelShape shape{format.type, options.rows, options.columns, 0};
  Buffer weights = random_panels(shape);
  ActivationBuffer x = random_activations(kernels, format.activations, tokens, options.columns);
  std::vector<float> y(uint64_t{tokens} * options.rows);
  // Short products are repeated, so that the clock's own time does not count.
  uint32_t times = std::max(1u, 16 / tokens);
  double products = double(times) * tokens * options.rows * options.columns;
  std::vector<double> cycles;
  for (uint32_t run = 0; run < options.runs; ++run) {
    double rate = cycles_per_second();
    double begin = thread_seconds();
    for (uint32_t i = 0; i < times; ++i) {
      kernels.matmul({shape, weights.data()}, x.view(), nullptr, tokens, 0, shape.panels(),
                     y.data(), options.rows);
    }
    cycles.push_back((thread_seconds() - begin) * rate / products);
  }
  std::sort(cycles.begin(), cycles.end());
  return {cycles.front(), cycles[cycles.size() / 2]};
}

void print_row(const KernelTable& kernels, const BlockFormat& format, const Options& options) {
  Cycles one = measure(kernels, format, options, 1);
  Cycles many = measure(kernels, format, options, options.tokens);
  fmt::print("{:8} {:8} {:7.3f} {:7.3f} {:8.4f} {:8.4f}\n", format.name, kernels.name, one.least,
             one.median, many.least, many.median);
  std::fflush(stdout);
}

bool read_options(int count, char** arguments, Options* options) {
  for (int i = 1; i < count; ++i) {
    std::string_view name = arguments[i];
    if (!name.starts_with("--")) {
      options->formats.emplace_back(name);
      continue;
    }
    if (i + 1 == count) return false;
    const char* value = arguments[++i];
    if (name == "--isa") {
      options->isa = value;
      continue;
    }
    auto number = static_cast<uint32_t>(std::atoi(value));
    if (number == 0) return false;
    if (name == "--runs")
      options->runs = number;
    else if (name == "--rows")
      options->rows = number;
    else if (name == "--columns")
      options->columns = number;
    else if (name == "--tokens")
      options->tokens = number;
    else
      return false;
  }
  return true;
}

int run(int count, char** arguments) {
  Options options;
  if (!read_options(count, arguments, &options)) {
    fmt::print(stderr,
               "usage: formats_bench [--runs N] [--rows N] [--columns N] [--tokens N] "
               "[--isa NAME] [FORMAT...]\n");
    return 2;
  }
  fmt::print("cycles a weight  1 row: least median   {} rows: least median\n", options.tokens);
  for (const KernelTable* kernels : available_kernels()) {
    bool chosen = options.isa.empty() ? kernels->name != "scalar" : kernels->name == options.isa;
    if (!chosen) continue;
    for (const BlockFormat& format : block_formats()) {
      bool named = options.formats.empty() ? format.quantized()
                                           : std::ranges::count(options.formats, format.name) > 0;
      if (named) print_row(*kernels, format, options);
    }
  }
  return 0;
}

}  // namespace
}  // namespace potluck

int main(int count, char** arguments) {
  return potluck::run(count, arguments);
}
