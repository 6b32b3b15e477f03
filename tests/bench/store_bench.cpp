// The store's own costs: opening with many grains, checksums, and putting and reading grains.
//
//   store_bench DIR     works in the new folder DIR/store-bench and removes it
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <functional>
#include <string>

#include <fmt/format.h>

#include "engine/base/buffer.h"
#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/experts/grain_store.h"

namespace potluck {
namespace {

constexpr uint64_t kGrainBytes = 576 * kKiB;

double seconds(const std::function<void()>& work) {
  SystemClock clock;
  TimePoint start = clock.now();
  work();
  return std::chrono::duration<double>(clock.now() - start).count();
}

// Says more than the time of day on a machine that others use.
double processor_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

void report(const char* what, double amount, const char* unit) {
  std::printf("%-44s %10.3f %s\n", what, amount, unit);
}

Digest name(uint64_t number) {
  Digest digest;
  SeededEntropy(number).fill(std::as_writable_bytes(std::span(digest.bytes)));
  return digest;
}

// A store of a model of 600 GB whose segments are all holes.
void measure_opening(Storage& storage, const std::string& directory) {
  constexpr uint64_t kGrains = 1'000'000;
  constexpr uint32_t kPages = kGrainBytes / kPageBytes;
  constexpr uint32_t kPerSegment = kSegmentPages / kPages;
  CHECK(storage.make_directories(directory + "/segments").ok());
  {
    GrainRecords records;
    std::vector<LogEvent> notices;
    auto index = GrainIndex::open(storage, directory + "/index", &records, &notices).value();
    for (uint32_t i = 0; i < kGrains; ++i) {
      GrainRecord record{{i / kPerSegment, i % kPerSegment * kPages, kPages}, 0, i};
      CHECK(index->put(name(i), &record).ok());
    }
  }
  for (uint32_t segment = 0; segment <= kGrains / kPerSegment; ++segment) {
    std::string path = fmt::format("{}/segments/{:06}.grains", directory, segment);
    auto file = storage.open_writable(path, WriteMode::kBuffered).value();
    CHECK(file->resize(uint64_t{kPerSegment} * kGrainBytes).ok());
  }
  for (const char* what : {"open, 1 M grains", "open, 1 M grains, again"}) {
    std::unique_ptr<GrainStore> store;
    double processor = processor_seconds();
    double time =
        seconds([&] { store = GrainStore::open(storage, directory, UINT64_MAX).value(); });
    CHECK(store->count() == kGrains);
    report(what, time, "s");
    report("  of that, processor time", processor_seconds() - processor, "s");
  }
}

void measure_checksums() {
  Buffer grain(2 * kMiB);
  SeededEntropy(1).fill(grain.span().first(kGrainBytes));
  ByteSpan bytes = grain.span().first(kGrainBytes);
  constexpr int kTimes = 2000;
  uint64_t sum = 0;
  double start = processor_seconds();
  for (int i = 0; i < kTimes; ++i) sum += grain_checksum(bytes);
  double xxh3 = processor_seconds() - start;
  for (int i = 0; i < kTimes; ++i) sum += sha256(bytes).bytes[0];
  double sha = processor_seconds() - start - xxh3;
  CHECK(sum != 0);
  report("XXH3, of processor time", kTimes * static_cast<double>(kGrainBytes) / xxh3 / 1e9, "GB/s");
  report("SHA-256, of processor time", kTimes * static_cast<double>(kGrainBytes) / sha / 1e9,
         "GB/s");
}

void measure_putting(Storage& storage, const std::string& directory) {
  constexpr uint64_t kGrains = 1000;
  auto store = GrainStore::open(storage, directory, UINT64_MAX).value();
  Buffer grain(2 * kMiB);
  MutableByteSpan bytes = grain.span().first(kGrainBytes);
  SeededEntropy(1).fill(bytes);
  double put = seconds([&] {
    for (uint64_t i = 0; i < kGrains; ++i) {
      potluck::store(bytes.data(), i);
      CHECK(store->put_trusted(name(i), bytes).ok());
    }
    CHECK(store->flush().ok());
  });
  double read = seconds([&] {
    for (uint64_t i = 0; i < kGrains; ++i) CHECK(store->read(name(i), bytes).ok());
  });
  double megabytes = static_cast<double>(kGrains * kGrainBytes) / 1e6;
  report("put_trusted and flush", megabytes / put, "MB/s");
  report("read, one at a time, verified", megabytes / read, "MB/s");
}

int run(const std::string& parent) {
  std::string directory = parent + "/store-bench";
  if (!std::filesystem::create_directory(directory)) {
    std::fprintf(stderr, "%s: exists already\n", directory.c_str());
    return 1;
  }
  auto storage = make_system_storage();
  measure_checksums();
  measure_putting(*storage, directory + "/grains");
  measure_opening(*storage, directory + "/many");
  std::filesystem::remove_all(directory);
  return 0;
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "store_bench DIR\n");
    return 2;
  }
  return potluck::run(argv[1]);
}
