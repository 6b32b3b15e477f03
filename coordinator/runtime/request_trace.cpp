#include "coordinator/runtime/request_trace.h"

#include <algorithm>

namespace potluck {
namespace {

constexpr uint32_t kCoordinator = 1;
constexpr uint32_t kFirstWorker = 2;
// Threads of a worker: reading and computing may overlap.
constexpr uint32_t kReading = 1;
constexpr uint32_t kComputing = 2;

// Times in replies are the workers' word; none may be drawn as longer than we waited.
Duration at_most(uint64_t nanoseconds, Duration longest) {
  uint64_t most = static_cast<uint64_t>(std::max(longest, Duration::zero()).count());
  return Duration(static_cast<int64_t>(std::min(nanoseconds, most)));
}

}  // namespace

RequestTrace::RequestTrace(ExpertExecutor& inner, Pool* pool, const Clock& clock,
                           std::unique_ptr<TraceFile> file)
    : inner_(inner), pool_(pool), clock_(clock), file_(std::move(file)), layer_start_(clock.now()) {
  file_->name_process(kCoordinator, "coordinator");
  if (pool_ != nullptr) pool_->keep_answers(true);
}

RequestTrace::~RequestTrace() {
  if (pool_ != nullptr) pool_->keep_answers(false);
}

ExpertExecutor::Ticket RequestTrace::submit(const ExpertBatch& batch, ExpertSums* out) {
  TimePoint start = clock_.now();
  Ticket ticket = inner_.submit(batch, out);
  submitted_ = clock_.now();
  waiting_since_.reset();
  layer_ = batch.layer;
  rows_ = batch.tokens();
  file_->add({"attention", kCoordinator, 0, layer_start_, start, layer_, rows_});
  file_->add({"dispatch", kCoordinator, 0, start, submitted_, layer_, rows_});
  return ticket;
}

std::optional<Status> RequestTrace::take_completed(Ticket ticket) {
  // The first look for the answer is the end of what is computed meanwhile.
  if (!waiting_since_) waiting_since_ = clock_.now();
  std::optional<Status> completed = inner_.take_completed(ticket);
  if (!completed) return completed;
  TimePoint end = clock_.now();
  file_->add({"shared", kCoordinator, 0, submitted_, *waiting_since_, layer_, rows_});
  file_->add({"wait", kCoordinator, 0, *waiting_since_, end, layer_, rows_});
  file_->add({"layer", kCoordinator, 0, layer_start_, end, layer_, rows_});
  layer_start_ = end;
  add_answers();
  return completed;
}

void RequestTrace::turn(Duration longest) {
  if (!waiting_since_) waiting_since_ = clock_.now();
  inner_.turn(longest);
}

// A step begins: what went before was no part of a layer.
void RequestTrace::on_residual(uint32_t, ResidualPoint point, uint32_t, std::span<const float>) {
  if (point == ResidualPoint::kEmbedding) layer_start_ = clock_.now();
}

void RequestTrace::add_answers() {
  if (pool_ == nullptr) return;
  pool_->take_answers(&taken_);
  for (const WorkerAnswer& answer : taken_) {
    Track& track = track_of(answer.worker);
    Duration longest = answer.taken_at - answer.asked_at;
    // A worker computes one message after the other, so its spans are pushed behind one another
    // where the estimates overlap.
    TimePoint read_from = std::max(answer.asked_at, track.read_until);
    TimePoint read_until =
        std::max(read_from, answer.asked_at + at_most(answer.work.disk, longest));
    TimePoint compute_from =
        std::max(answer.taken_at - at_most(answer.work.compute, longest), track.computed_until);
    file_->add({"read", track.process, kReading, read_from, read_until, answer.layer, answer.rows});
    file_->add({"compute", track.process, kComputing, compute_from, answer.taken_at, answer.layer,
                answer.rows});
    track.read_until = read_until;
    track.computed_until = answer.taken_at;
  }
  taken_.clear();
}

RequestTrace::Track& RequestTrace::track_of(const PeerKey& worker) {
  auto [found, fresh] = tracks_.try_emplace(worker);
  Track& track = found->second;
  if (fresh) {
    track.process = kFirstWorker + static_cast<uint32_t>(tracks_.size()) - 1;
    file_->name_process(track.process, pool_->describe(worker));
    file_->name_thread(track.process, kReading, "reading");
    file_->name_thread(track.process, kComputing, "computing");
  }
  return track;
}

}  // namespace potluck
