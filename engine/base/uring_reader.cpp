// Requests cross from the owner to the thread of the ring through a queue under a mutex, results go
// back the same way. The thread waits in one place for both, the device and the owner: a read of an
// eventfd is always in the ring.
#include "engine/base/uring_reader.h"

#include <cerrno>
#include <future>
#include <system_error>
#include <thread>
#include <utility>

#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/io_parts.h"
#include "engine/base/out_of_resources.h"
#include "engine/base/read_queue.h"
#include "engine/base/ring_permission.h"
#include "engine/base/thread_annotations.h"

namespace potluck {
namespace {

constexpr uint64_t kWakeUp = UINT64_MAX;  // user data of the read that ends when the owner calls

// Completions are delivered when the thread of the ring asks for them, not by interrupting it: less
// work for the kernel. Both flags came with Linux 6.1. With them the thread that made the ring must
// be the one that uses it, so run() makes it, not open().
int set_up_ring(uint32_t entries, io_uring* ring) {
  int result =
      io_uring_queue_init(entries, ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
  return result == -EINVAL ? io_uring_queue_init(entries, ring, 0) : result;
}

// A read that is at the device.
struct Slot {
  BlockRead read;
  uint64_t position = 0;  // in the file: what is before it is there
  uint64_t end = 0;       // of the read, or of the file if that comes first
  std::array<iovec, BlockParts::kMost> vectors;
  TimePoint start{0};
};

}  // namespace

struct UringBlockReader::State {
  State(uint32_t depth, const Clock& clock_to_use, int event)
      : clock(clock_to_use), wake_event(event), slots(depth) {
    for (uint32_t i = depth; i > 0; --i) vacant.push_back(i - 1);
  }
  ~State() { ::close(wake_event); }

  // Any thread.
  void wake_up();

  // The thread of the ring.
  void run(std::promise<int> ready);
  bool exchange();
  void listen();
  void start(const BlockRead& read);
  void request_rest(uint32_t slot);
  void read_through_file(uint32_t slot);
  void take_completions();
  void on_result(uint32_t slot, int result);
  void finish(uint32_t slot, Status status);

  const Clock& clock;
  const int wake_event;

  Mutex mutex;
  Condition finished;
  ReadQueue queue GUARDED_BY(mutex);
  std::vector<BlockReadDone> done GUARDED_BY(mutex);
  // There are vacant slots: the thread wants to hear of new requests.
  bool listening GUARDED_BY(mutex) = false;
  bool stopping GUARDED_BY(mutex) = false;

  io_uring ring{};  // from here on: the ring's thread alone
  uint64_t wake_count = 0;
  std::vector<Slot> slots;
  std::vector<uint32_t> vacant;
  std::vector<BlockRead> taken;            // from the queue, to be started
  std::vector<BlockReadDone> unpublished;  // to be handed to the owner
  std::thread thread;
};

void UringBlockReader::State::wake_up() {
  uint64_t one = 1;
  ssize_t written;
  do {
    written = ::write(wake_event, &one, sizeof one);
  } while (written < 0 && errno == EINTR);
  CHECK(written == sizeof one);
}

// A read of the event that completes when a thread calls wake_up().
void UringBlockReader::State::listen() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring);
  CHECK(entry != nullptr);
  io_uring_prep_read(entry, wake_event, &wake_count, sizeof wake_count, 0);
  entry->user_data = kWakeUp;
}

void UringBlockReader::State::run(std::promise<int> ready) {
  // Each slot and the event have one entry at most, so the ring is never full.
  int result = set_up_ring(static_cast<uint32_t>(slots.size()) + 1, &ring);
  ready.set_value(result);
  if (result < 0) return;
  listen();
  while (exchange()) {
    for (const BlockRead& read : taken) start(read);
    // What could be finished at once is published before anything is waited for.
    // EINTR, EAGAIN and EBUSY are passing: what was not submitted stays in the ring and goes with
    // the next round.
    int submitted =
        unpublished.empty() ? io_uring_submit_and_wait(&ring, 1) : io_uring_submit(&ring);
    CHECK(submitted >= 0 || submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY);
    take_completions();
  }
  io_uring_queue_exit(&ring);
}

// Hands over what is done and takes as many new requests as there are vacant slots. False when it
// is time to end.
bool UringBlockReader::State::exchange() {
  taken.clear();
  MutexLock guard(mutex);
  if (!unpublished.empty()) finished.notify_one();
  hand_over(&unpublished, &done);
  // Not before every slot is vacant: the kernel writes into the owner's memory until a read has
  // ended.
  if (stopping) return vacant.size() < slots.size();
  while (taken.size() < vacant.size()) {
    std::optional<BlockRead> read = queue.pop();
    if (!read) break;
    taken.push_back(*read);
  }
  // With all slots taken no wake-up is needed: the next completion brings the thread here anyway,
  // and a write to the event per request is saved.
  listening = taken.size() < vacant.size();
  return true;
}

void UringBlockReader::State::start(const BlockRead& read) {
  uint32_t index = vacant.back();
  vacant.pop_back();
  Slot& slot = slots[index];
  uint64_t size = read.file->size();
  slot.read = read;
  slot.position = read.offset;
  slot.start = clock.now();
  uint64_t end = 0;
  bool in_file = checked_add(read.offset, read.parts.bytes(), &end) &&
                 end <= round_up(size, read.file->direct_alignment());
  slot.end = std::min(end, size);
  if (read.file->descriptor() < 0 || !in_file) {
    read_through_file(index);
  } else {
    request_rest(index);
  }
}

void UringBlockReader::State::request_rest(uint32_t index) {
  Slot& slot = slots[index];
  int count = io_vectors(slot.read.parts.span(), slot.position - slot.read.offset, slot.vectors);
  io_uring_sqe* entry = io_uring_get_sqe(&ring);
  CHECK(entry != nullptr);
  io_uring_prep_readv(entry, slot.read.file->descriptor(), slot.vectors.data(),
                      static_cast<uint32_t>(count), slot.position);
  entry->user_data = index;
}

// For files without a descriptor, and for everything unusual: the file knows how to handle it and
// how to word the error. Other reads wait meanwhile.
void UringBlockReader::State::read_through_file(uint32_t index) {
  const BlockRead& read = slots[index].read;
  finish(index, read.file->read_parts_at(read.offset, read.parts.span()));
}

void UringBlockReader::State::take_completions() {
  io_uring_cqe* completion = nullptr;
  while (io_uring_peek_cqe(&ring, &completion) == 0) {
    uint64_t which = completion->user_data;
    int result = completion->res;
    io_uring_cqe_seen(&ring, completion);
    if (which == kWakeUp) {
      listen();
    } else {
      on_result(static_cast<uint32_t>(which), result);
    }
  }
}

void UringBlockReader::State::on_result(uint32_t index, int result) {
  Slot& slot = slots[index];
  // Passing refusals such as EAGAIN, and those of O_DIRECT, are settled there once and for all.
  if (result < 0) return read_through_file(index);
  uint64_t next = next_position(slot.position, static_cast<uint64_t>(result), slot.end,
                                slot.read.file->direct_alignment());
  if (next >= slot.end) return finish(index, {});
  // No progress: the file was cut. The file itself words that error.
  if (next <= slot.position) return read_through_file(index);
  slot.position = next;
  request_rest(index);
}

void UringBlockReader::State::finish(uint32_t index, Status status) {
  const Slot& slot = slots[index];
  unpublished.push_back({slot.read.tag, std::move(status), clock.now() - slot.start});
  vacant.push_back(index);
}

Result<std::unique_ptr<BlockReader>> UringBlockReader::open(uint32_t depth, const Clock& clock) {
  CHECK(depth > 0);
  if (!may_ask_for_ring()) {
    return Error{ErrorCode::kUnsupported, "io_uring: a filter of system calls refuses it"};
  }
  int event = ::eventfd(0, EFD_CLOEXEC);
  if (event < 0) {
    return Error{ErrorCode::kUnsupported,
                 "io_uring: no event: " + std::generic_category().message(errno)};
  }
  auto state = std::make_unique<State>(depth, clock, event);
  std::promise<int> promise;
  std::future<int> ready = promise.get_future();
  // std::function has to be copied, which a promise cannot be.
  auto shared_promise = std::make_shared<std::promise<int>>(std::move(promise));
  Result<std::thread> thread =
      start_thread([ring = state.get(), shared_promise] { ring->run(std::move(*shared_promise)); });
  if (!thread) return thread.error().in("io_uring");
  state->thread = std::move(*thread);
  if (int result = ready.get(); result < 0) {
    state->thread.join();
    return Error{ErrorCode::kUnsupported,
                 "io_uring: the system refuses it: " + std::generic_category().message(-result)};
  }
  return std::unique_ptr<BlockReader>(new UringBlockReader(std::move(state)));
}

UringBlockReader::UringBlockReader(std::unique_ptr<State> state) : state_(std::move(state)) {}

UringBlockReader::~UringBlockReader() {
  {
    MutexLock guard(state_->mutex);
    state_->stopping = true;
  }
  state_->wake_up();
  state_->thread.join();
}

uint32_t UringBlockReader::depth() const {
  return static_cast<uint32_t>(state_->slots.size());
}

void UringBlockReader::submit(std::span<const BlockRead> reads) {
  if (reads.empty()) return;
  outstanding_ += reads.size();
  bool wake = false;
  {
    MutexLock guard(state_->mutex);
    for (const BlockRead& read : reads) state_->queue.push(read);
    wake = std::exchange(state_->listening, false);
  }
  if (wake) state_->wake_up();
}

void UringBlockReader::promote(uint64_t tag) {
  MutexLock guard(state_->mutex);
  state_->queue.promote(tag);
}

void UringBlockReader::collect(std::vector<BlockReadDone>* done, bool wait) {
  if (outstanding_ == 0) return;
  MutexLock lock(state_->mutex);
  while (wait && state_->done.empty()) state_->finished.wait(lock);
  outstanding_ -= state_->done.size();
  hand_over(&state_->done, done);
}

}  // namespace potluck
