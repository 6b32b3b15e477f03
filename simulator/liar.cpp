#include "simulator/liar.h"

#include <limits>

#include "engine/base/check.h"
#include "protocol/codec.h"
#include "protocol/packed_sums.h"

namespace potluck::sim {
namespace {

constexpr size_t kQuestionsKept = 64;

}  // namespace

Liar::Liar(const SimModel& model, LieKind kind, uint64_t one_in, uint64_t seed)
    : model_(model), answers_(model), kind_(kind), one_in_(one_in), random_(seed) {}

void Liar::asked(const Compute& request, ByteSpan tensor) {
  questions_[request.work.request] = {request, ByteVector(tensor.begin(), tensor.end())};
  if (questions_.size() > kQuestionsKept) questions_.erase(questions_.begin());
}

bool Liar::alter(Partial* partial, ByteVector* tensor) {
  if (partial->status != PartialStatus::kOk) return false;
  ByteVector truth = *tensor;
  bool lies = random_.bits(position_++) % one_in_ == 0;
  if (lies) *tensor = altered(*partial, truth);
  last_[partial->row_flags.size()] = truth;
  questions_.erase(partial->work.request);
  if (*tensor == truth) return false;
  partial->checksum = checksum_of(partial->work, partial->row_flags, *tensor);
  ++lies_;
  return true;
}

ByteVector Liar::altered(const Partial& partial, const ByteVector& tensor) {
  const ManifestLayer* layer = model_.manifest().layer(partial.work.layer);
  CHECK(layer != nullptr);
  size_t values = partial.row_flags.size() * layer->shape.hidden;
  switch (kind_) {
    case LieKind::kFlipBit:
      return flipped(tensor, values);
    case LieKind::kStale: {
      auto last = last_.find(partial.row_flags.size());
      return last == last_.end() ? tensor : last->second;
    }
    case LieKind::kZeros: {
      ByteVector zeros;
      pack_sums(std::vector<int64_t>(values, 0), &zeros);
      return zeros;
    }
    case LieKind::kOtherExpert: {
      auto question = questions_.find(partial.work.request);
      return question == questions_.end() ? tensor : of_neighbors(question->second);
    }
  }
  return tensor;
}

ByteVector Liar::flipped(const ByteVector& tensor, size_t values) {
  std::vector<int64_t> sums(values, 0);
  CHECK(add_packed_sums(tensor, std::numeric_limits<int64_t>::max(), sums).ok());
  uint64_t draw = random_.bits(position_, 1);
  sums[draw % values] ^= int64_t{1} << (draw >> 40) % 24;
  ByteVector packed;
  pack_sums(sums, &packed);
  return packed;
}

ByteVector Liar::of_neighbors(const Question& question) {
  Compute other = question.request;
  uint32_t experts = model_.manifest().layer(other.work.layer)->experts;
  for (ComputeRow& row : other.rows) {
    for (UnitCall& call : row.calls) {
      call.expert = static_cast<uint16_t>((call.expert + 1u) % experts);
    }
  }
  return answers_.answer(other, question.tensor).tensor;
}

}  // namespace potluck::sim
