// WorkerHarness: a WorkerCore with a store in memory and a clock that only tests move, and
// FakeCoordinator, which speaks to it message by message. Test code; one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "protocol/bulk_queue.h"
#include "protocol/codec.h"
#include "tests/unit/worker/sample_model.h"
#include "worker/worker_core.h"

namespace potluck::test {

struct HarnessOptions {
  uint64_t ram_bytes = 64 * kMiB;
  uint64_t disk_bytes = 64 * kMiB;
  int threads = 2;
  std::string kernels;  // "": the best
  const ModelCopy* model = nullptr;
  std::optional<SimulatedProcessor> processor = std::nullopt;
  // Its disk, so slow: the clock moves while it reads.
  Duration disk_time_per_kib{0};
};

class WorkerHarness {
 public:
  explicit WorkerHarness(HarnessOptions options = {});

  // As a process that ended and was started again: disk and clock stay.
  void restart();

  MemoryStorage disk;
  ManualClock clock;
  HarnessOptions options;
  WorkerCore& core() { return *core_; }
  GrainStore& store() { return *store_; }

  void deliver(const PeerKey& from, Channel channel, Message message, ByteVector tensor = {});
  // Moves the clock, ticking as a daemon would: whenever something is due, at the end in any case.
  void pass(Duration time);
  // Ticks until nothing is due any more.
  void tick();

  // Messages of one kind to one coordinator since the last look, with their tensor frames.
  template <class T>
  struct Sent {
    T message;
    ByteVector tensor;
    Channel channel;
  };
  template <class T>
  std::vector<Sent<T>> take(const PeerKey& to) {
    std::vector<Sent<T>> found;
    collect();
    std::erase_if(actions_, [&](WorkerAction& action) {
      auto* send = std::get_if<SendMessage>(&action);
      if (send == nullptr || send->peer != to) return false;
      T* message = std::get_if<T>(&send->message);
      if (message == nullptr) return false;
      found.push_back({std::move(*message), std::move(send->tensor), send->channel});
      return true;
    });
    return found;
  }
  // Exactly one message of that kind must have been sent.
  template <class T>
  Sent<T> take_one(const PeerKey& to) {
    std::vector<Sent<T>> found = take<T>(to);
    EXPECT_EQ(found.size(), 1u) << "messages of this kind";
    return found.empty() ? Sent<T>{} : std::move(found.front());
  }
  // Other actions since the last look.
  template <class T>
  std::vector<T> take_actions() {
    std::vector<T> found;
    collect();
    std::erase_if(actions_, [&](WorkerAction& action) {
      T* wanted = std::get_if<T>(&action);
      if (wanted != nullptr) found.push_back(std::move(*wanted));
      return wanted != nullptr;
    });
    return found;
  }
  void forget_actions();
  // All notices since the last look, one per line; fatal ones begin with "fatal: ".
  std::string notices();

  // Nothing is under way that is not due, nothing is missing that is not cared for. Looked at after
  // every message and tick.
  void expect_valid();

 private:
  void collect();

  ThreadPool threads_;
  std::unique_ptr<GrainStore> store_;
  std::unique_ptr<ManifestStore> manifests_;
  std::unique_ptr<WorkerCore> core_;
  std::vector<WorkerAction> actions_;
};

// The other side, as a list of things a test can make it do.
class FakeCoordinator {
 public:
  FakeCoordinator(WorkerHarness& worker, const SampleModel& model, uint8_t number);

  const PeerKey& key() const { return key_; }
  PoolAddress address() const;  // straight to the endpoints
  Invitation invitation() const;

  // From add_pool to membership; the manifest is served.
  void admit();
  void welcome();
  void assign(uint64_t version, uint32_t slices, std::vector<UnitId> units);
  // Answers what was asked on the bulk channel, until nothing more is asked.
  void serve_bulk();
  size_t serve_asked();  // only what was asked until now; how many
  // admit, assign and serve.
  void fill(uint32_t slices, std::vector<UnitId> units);

  void say(Message message, ByteVector tensor = {});
  void say_bulk(BulkData data, ByteVector bytes);
  // A Compute for all rows and calls of the batch whose unit the filter accepts.
  Compute compute_message(const SampleBatch& batch, uint32_t slices,
                          const std::function<bool(UnitId)>& filter = {});
  static ByteVector frame_of(const SampleBatch& batch);
  // Sends it and returns the answer.
  WorkerHarness::Sent<Partial> ask(const Compute& request, ByteVector frame);
  // Sends a Compute for the whole batch; the answer must be kOk; unpacked.
  ExpertSums compute(const SampleBatch& batch, uint32_t slices,
                     const std::function<bool(UnitId)>& filter = {});

  // Grains asked for from their beginning so far, in order.
  const std::vector<GrainId>& grains_asked() const { return grains_asked_; }
  size_t manifests_asked() const { return manifests_asked_; }

  uint64_t epoch = 7;
  SignedManifest signed_manifest;
  Digest announced;  // the manifest's digest as Welcome names it
  uint64_t part_bytes = 3000;
  // May change or drop (return false) a part on its way.
  std::function<bool(BulkData&, ByteVector&)> tamper;

 private:
  void send_range(const BulkRequest& request, const ByteVector& whole, const Signature& signature);

  WorkerHarness& worker_;
  const SampleModel& model_;
  PeerKey key_;
  SigningKey signing_;
  BulkQueue asked_;  // as at a real one
  uint64_t next_request_ = 1;
  std::vector<GrainId> grains_asked_;
  size_t manifests_asked_ = 0;
};

// Unpacks the sums of an answer to `request` into rows of the batch.
void add_answer(const Compute& request, const Partial& partial, ByteSpan sums, ExpertSums* out);

bool same(const ExpertSums& a, const ExpertSums& b);

}  // namespace potluck::test
