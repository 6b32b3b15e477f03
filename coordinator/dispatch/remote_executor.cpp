#include "coordinator/dispatch/remote_executor.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/base/check.h"

namespace potluck {

RemoteExecutor::RemoteExecutor(CoordinatorLoop& loop, const GrainCutter& cutter,
                               GrainSource& last_resort, ExpertCompute& compute, const Clock& clock,
                               bool prefetch)
    : loop_(loop),
      cutter_(cutter),
      last_resort_(last_resort),
      compute_(compute),
      clock_(clock),
      prefetch_(prefetch) {}

bool RemoteExecutor::uses_disks() const {
  auto lock = loop_.lock();
  return loop_.core().dispatcher().disks_in_use();
}

ReadAhead RemoteExecutor::read_ahead() const {
  return prefetch_ && uses_disks() ? ReadAhead::kAll : ReadAhead::kOff;
}

ExpertExecutor::Ticket RemoteExecutor::submit(const ExpertBatch& batch, ExpertSums* out) {
  TimePoint start = clock_.now();
  auto lock = loop_.lock();
  Ticket ticket = loop_.core().dispatcher().submit(batch, out);
  // The workers start now; the shared expert is computed here meanwhile.
  loop_.send();
  times_.dispatch += nanoseconds(clock_.now() - start);
  ++times_.batches;
  return ticket;
}

std::optional<Status> RemoteExecutor::take_completed(Ticket ticket) {
  if (auto failure = failures_.extract(ticket)) return Status(std::move(failure.mapped()));
  auto lock = loop_.lock();
  Dispatcher& dispatcher = loop_.core().dispatcher();
  if (!dispatcher.done(ticket)) return std::nullopt;
  dispatcher.forget(ticket);
  return Status();
}

void RemoteExecutor::cancel(Ticket ticket) {
  if (failures_.erase(ticket) > 0) return;
  auto lock = loop_.lock();
  loop_.core().dispatcher().forget(ticket);
}

uint64_t RemoteExecutor::distrusts() const {
  auto lock = loop_.lock();
  return loop_.core().dispatcher().distrusts();
}

void RemoteExecutor::step_repeated() {
  auto lock = loop_.lock();
  loop_.core().dispatcher().step_repeated();
}

void RemoteExecutor::turn(Duration longest) {
  TimePoint start = clock_.now();
  auto lock = loop_.lock();
  Dispatcher& dispatcher = loop_.core().dispatcher();
  if (auto work = dispatcher.take_local_work()) {
    run_local_work(*work, lock);
    // Messages are handled between two parts: workers must not wait for what became theirs
    // meanwhile.
    if (dispatcher.has_local_work()) loop_.turn(Duration::zero());
  } else {
    loop_.turn(longest);
  }
  times_.wait += nanoseconds(clock_.now() - start);
}

// What fails is a batch: the others are under way as before.
void RemoteExecutor::run_local_work(const LocalWork& work, std::unique_lock<std::mutex>& lock) {
  // Computing may take seconds. Meanwhile the LoopKeeper takes turns, so replies may be added to
  // the answer at any moment: the sums of this part go to memory of their own until the lock is
  // held again.
  lock.unlock();
  TimePoint start = clock_.now();
  Status computed = compute(work);
  const TimePoint end = clock_.now();
  lock.lock();
  times_.local += nanoseconds(end - start);
  add_local_sums(work);
  end_local_work(work, computed);
}

void RemoteExecutor::end_local_work(const LocalWork& work, const Status& computed) {
  Dispatcher& dispatcher = loop_.core().dispatcher();
  std::optional<uint64_t> hopeless;
  if (work.check != 0) {
    hopeless = loop_.core().check_done(work.check, computed.ok());
  } else {
    // Before forget(), after which there is no such ticket.
    dispatcher.local_done(work.ticket);
    if (!computed) hopeless = work.ticket;
  }
  if (!hopeless) return;
  dispatcher.forget(*hopeless);
  failures_.emplace(*hopeless, computed.error());
}

Status RemoteExecutor::compute(const LocalWork& work) {
  const ExpertBatch& batch = *work.batch;
  const ExpertBank* bank = cutter_.bank(batch.layer);
  CHECK(bank != nullptr);
  if (local_sums_.sums.size() != uint64_t{batch.tokens()} * batch.input.columns ||
      local_sums_.flags.size() != batch.tokens()) {
    local_sums_.reset(batch.tokens(), batch.input.columns);
  }
  Status computed = compute_.run(batch.layer, bank->shape, batch.input, batch.fraction_bits,
                                 work.calls, last_resort_, &local_sums_);
  if (computed) return {};
  return computed.error().in(
      fmt::format("layer {}, computed here {}", batch.layer,
                  work.check != 0 ? "to check an answer" : "because no worker has its experts"));
}

// Moves the rows that were computed into the answer and leaves zeros. Another call of the same row
// finds those and adds nothing twice.
void RemoteExecutor::add_local_sums(const LocalWork& work) {
  size_t hidden = work.batch->input.columns;
  for (const ExpertCall& call : work.calls) {
    int64_t* from = local_sums_.sums.data() + call.row * hidden;
    int64_t* to = work.out->sums.data() + call.row * hidden;
    for (size_t i = 0; i < hidden; ++i) to[i] += std::exchange(from[i], 0);
    work.out->flags[call.row] |= std::exchange(local_sums_.flags[call.row], 0);
  }
}

}  // namespace potluck
