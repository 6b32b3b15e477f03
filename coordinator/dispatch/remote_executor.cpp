#include "coordinator/dispatch/remote_executor.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"

namespace potluck {
namespace {

// Whatever the core says about its next tick, the world is looked at this often.
constexpr Duration kLongestPump = std::chrono::milliseconds(100);

uint64_t nanoseconds(Duration duration) {
  return static_cast<uint64_t>(std::max<int64_t>(duration.count(), 0));
}

}  // namespace

RemoteExecutor::RemoteExecutor(CoordinatorCore& core, Pump& pump, const GrainCutter& cutter,
                               GrainSource& last_resort, ExpertCompute& compute, const Clock& clock,
                               bool prefetch)
    : core_(core),
      pump_(pump),
      cutter_(cutter),
      last_resort_(last_resort),
      compute_(compute),
      clock_(clock),
      prefetch_(prefetch) {}

ExpertExecutor::Ticket RemoteExecutor::submit(const ExpertBatch& batch, ExpertSums* out) {
  TimePoint start = clock_.now();
  Ticket ticket = core_.dispatcher().submit(batch, out);
  // The workers start now, before the coordinator does anything else.
  pump_.pump(Duration::zero());
  times_.dispatch += nanoseconds(clock_.now() - start);
  ++times_.batches;
  return ticket;
}

bool RemoteExecutor::done(Ticket ticket) {
  return core_.dispatcher().done(ticket);
}

Status RemoteExecutor::wait(Ticket ticket) {
  TimePoint start = clock_.now();
  Status status = run_local_work();
  while (status && !core_.dispatcher().done(ticket)) {
    pump_until_event();
    core_.on_tick();
    status = run_local_work();
  }
  core_.dispatcher().forget(ticket);
  times_.wait += nanoseconds(clock_.now() - start);
  return status;
}

void RemoteExecutor::pump_until_event() {
  Duration until_tick = core_.next_tick() - clock_.now();
  pump_.pump(std::clamp(until_tick, Duration::zero(), kLongestPump));
}

// Messages are handled between the pieces: workers must not look dead because we were busy, and
// must not wait for what became theirs meanwhile.
Status RemoteExecutor::run_local_work() {
  bool first = true;
  while (auto work = core_.dispatcher().take_local_work()) {
    if (!first) pump_.pump(Duration::zero());
    first = false;
    TimePoint start = clock_.now();
    Status computed = compute(*work);
    times_.local += nanoseconds(clock_.now() - start);
    core_.dispatcher().local_done(work->ticket);
    if (!computed) return computed;
  }
  return {};
}

Status RemoteExecutor::compute(const LocalWork& work) {
  const ExpertBatch& batch = *work.batch;
  const ExpertBank* bank = cutter_.bank(batch.layer);
  CHECK(bank != nullptr);
  Status computed = compute_.run(batch.layer, bank->shape, batch.input, batch.fraction_bits,
                                 work.calls, last_resort_, work.out);
  if (computed) return {};
  return computed.error().in(
      fmt::format("layer {}, computed here because no worker has its experts", batch.layer));
}

}  // namespace potluck
