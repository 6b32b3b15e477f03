// The disk readers against bare O_DIRECT reads by as many threads: random records of big files into
// the same memory, backed by huge pages. The arms alternate, round by round. Give it all segments
// of a store: a small part of them may be in a cache between here and the disk.
//
//   reader_bench RECORD_BYTES DEPTH ROUNDS MEGABYTES_PER_ROUND FILE...
//     -> per arm the median of MB/s, its ratio to the bare reads, processor ms per GB
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/block_reader.h"
#include "engine/base/buffer.h"
#include "engine/base/random.h"

namespace potluck {
namespace {

struct Record {
  size_t file;
  uint64_t offset;
};

struct Job {
  std::vector<std::string> paths;
  uint64_t record_bytes = 0;
  uint32_t depth = 0;
  uint64_t reads = 0;             // per round
  std::vector<Record> records{};  // of all files
  uint64_t seed = 0;              // of this round

  const Record& record(uint64_t read) const {
    return records[CounterRandom(seed).bits(read) % records.size()];
  }
};

struct Arm {
  std::string name;
  std::function<void(const Job&, Buffer&)> run;
  std::vector<double> rates;         // MB/s
  std::vector<double> cpu_per_gb{};  // ms
};

void read_raw(const Job& job, Buffer& memory) {
  std::vector<int> files;
  for (const std::string& path : job.paths) {
    files.push_back(::open(path.c_str(), O_RDONLY | O_DIRECT));
    CHECK(files.back() >= 0);
  }
  std::atomic<uint64_t> next = 0;
  std::vector<std::thread> threads;
  for (uint32_t place = 0; place < job.depth; ++place) {
    threads.emplace_back([&, place] {
      // Each thread has two places, so that all arms use the same memory.
      std::byte* out = memory.data() + 2 * place * job.record_bytes;
      for (uint64_t read = next++; read < job.reads; read = next++) {
        uint64_t half = read % 2 * job.record_bytes;
        const Record& record = job.record(read);
        ssize_t got = ::pread(files[record.file], out + half, job.record_bytes,
                              static_cast<off_t>(record.offset));
        CHECK(got == static_cast<ssize_t>(job.record_bytes));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int fd : files) ::close(fd);
}

// All that fits the memory is submitted at once, as the misses of one layer are.
void read_blocks(ReaderChoice choice, const Job& job, Buffer& memory) {
  SystemClock clock;
  auto storage = make_system_storage();
  std::vector<std::unique_ptr<ReadableFile>> files;
  for (const std::string& path : job.paths) {
    auto file = storage->open(path, ReadMode::kDirect);
    CHECK(file.ok());
    files.push_back(std::move(*file));
  }
  auto reader = open_block_reader(choice, job.depth, clock);
  CHECK(reader.ok());
  uint64_t next = 0;
  std::vector<BlockRead> reads;
  auto prepare = [&](uint64_t place) {
    if (next == job.reads) return;
    const Record& record = job.record(next++);
    reads.push_back({.file = files[record.file].get(),
                     .offset = record.offset,
                     .parts = memory.span().subspan(place * job.record_bytes, job.record_bytes),
                     .tag = place});
  };
  for (uint64_t place = 0; place < memory.size() / job.record_bytes; ++place) prepare(place);
  (*reader)->submit(reads);
  std::vector<BlockReadDone> done;
  while ((*reader)->outstanding() > 0) {
    done.clear();
    reads.clear();
    (*reader)->collect(&done, true);
    for (const BlockReadDone& read : done) {
      CHECK(read.status.ok());
      prepare(read.tag);
    }
    (*reader)->submit(reads);
  }
}

double processor_ms() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  auto ms = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
  };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure(Arm& arm, const Job& job, Buffer& memory) {
  SystemClock clock;
  double processor_start = processor_ms();
  TimePoint start = clock.now();
  arm.run(job, memory);
  double seconds = std::chrono::duration<double>(clock.now() - start).count();
  double bytes = static_cast<double>(job.reads * job.record_bytes);
  arm.rates.push_back(bytes / 1e6 / seconds);
  arm.cpu_per_gb.push_back((processor_ms() - processor_start) / (bytes / 1e9));
}

void list_records(Job& job) {
  auto storage = make_system_storage();
  for (size_t i = 0; i < job.paths.size(); ++i) {
    auto file = storage->open(job.paths[i], ReadMode::kDirect);
    CHECK(file.ok());
    for (uint64_t at = 0; at + job.record_bytes <= (*file)->size(); at += job.record_bytes) {
      job.records.push_back({i, at});
    }
  }
  CHECK(!job.records.empty());
}

int run(int count, char** arguments) {
  if (count < 6) {
    std::fprintf(stderr, "reader_bench RECORD_BYTES DEPTH ROUNDS MEGABYTES_PER_ROUND FILE...\n");
    return 2;
  }
  Job job{.paths = {arguments + 5, arguments + count},
          .record_bytes = std::strtoull(arguments[1], nullptr, 10),
          .depth = static_cast<uint32_t>(std::strtoul(arguments[2], nullptr, 10))};
  int rounds = std::atoi(arguments[3]);
  uint64_t megabytes = std::strtoull(arguments[4], nullptr, 10);
  CHECK(job.record_bytes > 0 && job.depth > 0 && rounds > 0);
  list_records(job);
  job.reads = std::max<uint64_t>(megabytes * 1000000 / job.record_bytes, 1);
  // Twice the depth: what is done is handed over while the device goes on.
  Buffer memory(std::max<uint64_t>(2 * job.depth * job.record_bytes, 2 * kMiB));
  std::vector<Arm> arms = {
      {"raw", read_raw, {}},
      {"threads", [](auto& a, auto& b) { read_blocks(ReaderChoice::kThreads, a, b); }, {}},
      {"io_uring", [](auto& a, auto& b) { read_blocks(ReaderChoice::kUring, a, b); }, {}},
  };
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < arms.size(); ++i) {
      ++job.seed;
      measure(arms[(static_cast<size_t>(round) + i) % arms.size()], job, memory);
    }
  }
  std::printf("record %llu depth %u rounds %d\n", static_cast<unsigned long long>(job.record_bytes),
              job.depth, rounds);
  for (const Arm& arm : arms) {
    std::vector<double> ratios;
    for (size_t i = 0; i < arm.rates.size(); ++i) ratios.push_back(arm.rates[i] / arms[0].rates[i]);
    std::printf("%-9s %7.0f MB/s  ratio %.3f  cpu %5.1f ms/GB\n", arm.name.c_str(),
                median(arm.rates), median(ratios), median(arm.cpu_per_gb));
  }
  return 0;
}

}  // namespace
}  // namespace potluck

int main(int count, char** arguments) {
  return potluck::run(count, arguments);
}
