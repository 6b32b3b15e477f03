// Calls are sorted into jobs, one per grain and group of rows. Jobs run as their grains arrive, so
// what is in memory is computed while the disk reads the rest. No order shows in the result:
// addends are integers.
#include "engine/experts/expert_compute.h"

#include <algorithm>
#include <compare>
#include <tuple>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/experts/grain_compute.h"

namespace potluck {
namespace {

// Calls of one expert with the same grains: [begin, end) of the sorted calls.
struct CallGroup {
  uint32_t begin;
  uint32_t end;
};

// One grain and one group of rows. Sorted, jobs that share a grain are neighbors.
struct Job {
  uint32_t expert;
  uint32_t grain;
  uint32_t group;

  auto operator<=>(const Job&) const = default;
  bool same_grain(const Job& other) const { return expert == other.expert && grain == other.grain; }
};

// A job whose grain has come.
struct ReadyJob {
  const Job* job;
  ByteSpan grain;
};

// Rows of a group meet every grain together: the weights of a grain are unpacked once for all of
// them.
auto group_key(const ExpertCall& call) {
  return std::tuple(call.expert, call.grains.first, call.grains.count);
}

}  // namespace

struct ExpertCompute::Scratch {
  std::vector<std::unique_ptr<ShapeTables>> tables;  // one per shape seen so far
  std::vector<ExpertCall> calls;                     // sorted by expert and grains
  std::vector<uint32_t> rows;                        // of `calls`
  std::vector<float> weights;                        // of `calls`
  std::vector<CallGroup> groups;
  std::vector<Job> jobs;
  std::vector<GrainId> grains;      // that the jobs need, each once, in their order
  std::vector<uint32_t> first_job;  // of each grain, and the end
  std::vector<GrainSource::Arrival> arrivals;
  std::vector<ReadyJob> ready;
  ActivationBuffer quantized;         // the input, for a quantized matrix beside a float one
  std::vector<GrainCompute> workers;  // one per thread
  std::vector<PartialSums> sums;      // one per thread

  const ShapeTables& tables_for(const ExpertShape& shape);
  void plan_jobs(uint32_t layer, std::span<const ExpertCall> unsorted);
  GrainInput prepare_input(const ExpertShape& shape, const ActivationView& input,
                           const KernelTable& kernels, ThreadPool& pool);
  Status run_jobs(const ShapeTables& shape, const GrainInput& input, GrainSource& source,
                  ThreadPool& pool);
};

const ShapeTables& ExpertCompute::Scratch::tables_for(const ExpertShape& shape) {
  for (const auto& known : tables) {
    if (known->shape == shape) return *known;
  }
  tables.push_back(std::make_unique<ShapeTables>(shape));
  return *tables.back();
}

void ExpertCompute::Scratch::plan_jobs(uint32_t layer, std::span<const ExpertCall> unsorted) {
  calls.assign(unsorted.begin(), unsorted.end());
  std::sort(calls.begin(), calls.end(), [](const ExpertCall& a, const ExpertCall& b) {
    return std::tuple(group_key(a), a.row) < std::tuple(group_key(b), b.row);
  });
  rows.clear();
  weights.clear();
  groups.clear();
  jobs.clear();
  for (uint32_t i = 0; i < calls.size(); ++i) {
    const ExpertCall& call = calls[i];
    rows.push_back(call.row);
    weights.push_back(call.weight);
    if (i > 0 && group_key(call) == group_key(calls[i - 1])) {
      groups.back().end = i + 1;
      continue;
    }
    for (uint32_t grain = 0; grain < call.grains.count; ++grain) {
      auto group = static_cast<uint32_t>(groups.size());
      jobs.push_back({call.expert, call.grains.first + grain, group});
    }
    groups.push_back({i, i + 1});
  }
  std::sort(jobs.begin(), jobs.end());
  grains.clear();
  first_job.clear();
  for (uint32_t i = 0; i < jobs.size(); ++i) {
    if (i > 0 && jobs[i].same_grain(jobs[i - 1])) continue;
    grains.push_back({static_cast<uint16_t>(layer), static_cast<uint16_t>(jobs[i].expert),
                      static_cast<uint16_t>(jobs[i].grain)});
    first_job.push_back(i);
  }
  first_job.push_back(static_cast<uint32_t>(jobs.size()));
}

// Where one of gate and up has float weights, activations come as floats. The other one's are
// quantized here, once for the batch.
GrainInput ExpertCompute::Scratch::prepare_input(const ExpertShape& shape,
                                                 const ActivationView& input,
                                                 const KernelTable& kernels, ThreadPool& pool) {
  ActivationForm gate = shape.product_form(shape.gate);
  ActivationForm up = shape.product_form(shape.up);
  if (gate == input.form && up == input.form) return {input, input, {}};
  quantized.reset(ActivationForm::kQ8Block32, input.tokens, input.columns);
  uint32_t block = activation_block(ActivationForm::kQ8Block32);
  uint64_t blocks = ceil_div(input.columns, block);
  pool.run(input.tokens, [&](size_t t, int) {
    kernels.quantize(input.values + t * input.columns, input.columns, block,
                     quantized.quants().data() + t * blocks * block,
                     quantized.scales().data() + t * blocks,
                     quantized.sums().data() + t * blocks * 2);
  });
  ActivationView view = quantized.view();
  return {gate == input.form ? input : view, up == input.form ? input : view, {}};
}

// Computes the grains as they come. What comes together is computed together, and its memory given
// back before the source is asked for more.
Status ExpertCompute::Scratch::run_jobs(const ShapeTables& shape, const GrainInput& input,
                                        GrainSource& source, ThreadPool& pool) {
  source.request(grains);
  for (size_t computed = 0; computed < grains.size(); computed += arrivals.size()) {
    arrivals.clear();
    if (Status taken = source.take(&arrivals); !taken) {
      arrivals.clear();
      return taken;
    }
    ready.clear();
    for (const GrainSource::Arrival& arrival : arrivals) {
      for (uint32_t i = first_job[arrival.index]; i < first_job[arrival.index + 1]; ++i) {
        ready.push_back({&jobs[i], arrival.view.bytes});
      }
    }
    pool.run(ready.size(), [&](size_t i, int thread) {
      const Job& job = *ready[i].job;
      const CallGroup& group = groups[job.group];
      WeightedRows weighted{rows.data() + group.begin, weights.data() + group.begin,
                            group.end - group.begin};
      workers[thread].run(shape, job.grain, ready[i].grain, input, weighted, sums[thread]);
    });
  }
  arrivals.clear();
  return {};
}

ExpertCompute::ExpertCompute(const KernelTable& kernels, ThreadPool& pool)
    : kernels_(kernels), pool_(pool), scratch_(std::make_unique<Scratch>()) {
  for (int thread = 0; thread < pool.threads(); ++thread) {
    scratch_->workers.emplace_back(kernels);
    scratch_->sums.emplace_back();
  }
}

ExpertCompute::~ExpertCompute() = default;

Status ExpertCompute::run(uint32_t layer, const ExpertShape& shape, const ActivationView& input,
                          std::span<const int32_t> fraction_bits, std::span<const ExpertCall> calls,
                          GrainSource& source, ExpertSums* out) {
  Scratch& scratch = *scratch_;
  const ShapeTables& tables = scratch.tables_for(shape);
  CHECK(layer < limits::kLayers);
  CHECK(input.form == shape.input_form() && input.columns == shape.hidden);
  CHECK(fraction_bits.size() == input.tokens && out->flags.size() == input.tokens);
  CHECK(out->sums.size() == uint64_t{input.tokens} * shape.hidden);
  for (const ExpertCall& call : calls) {
    CHECK(call.row < input.tokens && call.expert < limits::kExperts);
    CHECK(call.grains.first <= tables.plan.grains);
    CHECK(call.grains.count <= tables.plan.grains - call.grains.first);
  }
  scratch.plan_jobs(layer, calls);
  GrainInput prepared = scratch.prepare_input(shape, input, kernels_, pool_);
  prepared.fraction_bits = fraction_bits;
  for (size_t i = 0; i < scratch.sums.size(); ++i) {
    if (i == 0) {
      // The first thread adds into the result itself: one addition of all sums less, and none at
      // all with a single thread.
      scratch.sums[i].begin_in(out, shape.hidden);
    } else {
      scratch.sums[i].begin(input.tokens, shape.hidden);
    }
  }
  Status done = scratch.run_jobs(tables, prepared, source, pool_);
  if (!done) return done;
  pool_.run(scratch.sums.size() > 1 ? input.tokens : 0, [&](size_t row, int) {
    for (const PartialSums& part : scratch.sums) part.add_row_to(static_cast<uint32_t>(row), out);
  });
  return {};
}

void LocalExecutor::prefetch(const ExpertBatch& batch) {
  prefetch_.clear();
  for (uint32_t expert : batch.prefetch) {
    for (uint32_t grain = 0; grain < cutter_.plan(batch.layer + 1).grains; ++grain) {
      prefetch_.push_back({static_cast<uint16_t>(batch.layer + 1), static_cast<uint16_t>(expert),
                           static_cast<uint16_t>(grain)});
    }
  }
  source_.prefetch(prefetch_, foresight(batch.tokens()));
}

LocalExecutor::Ticket LocalExecutor::submit(const ExpertBatch& batch, ExpertSums* out) {
  const ExpertBank* bank = cutter_.bank(batch.layer);
  CHECK(bank != nullptr);
  CHECK(batch.experts.size() == uint64_t{batch.tokens()} * batch.top_k);
  CHECK(batch.weights.size() == batch.experts.size());
  GrainRange all{0, cutter_.plan(batch.layer).grains};
  calls_.clear();
  for (size_t i = 0; i < batch.experts.size(); ++i) {
    CHECK(batch.experts[i] < bank->experts);
    auto row = static_cast<uint32_t>(i / batch.top_k);
    calls_.push_back({row, batch.experts[i], all, batch.weights[i]});
  }
  out->reset(batch.tokens(), bank->shape.hidden);
  prefetch(batch);
  Status done = compute_.run(batch.layer, bank->shape, batch.input, batch.fraction_bits, calls_,
                             source_, out);
  Ticket ticket = next_ticket_++;
  if (!done) failures_.emplace(ticket, done.error());
  return ticket;
}

std::optional<Status> LocalExecutor::take_completed(Ticket ticket) {
  auto failure = failures_.extract(ticket);
  if (failure.empty()) return Status();
  return Status(std::move(failure.mapped()));
}

}  // namespace potluck
