// Liar: a device whose kernels, or whose owner, make of a true answer something else before the
// checksum is computed. Nothing but another computation can tell. One thread.
#pragma once

#include <map>

#include "simulator/honest_answers.h"

#include "engine/base/random.h"

namespace potluck::sim {

enum class LieKind {
  kFlipBit,      // of one sum: a bad core or bad memory
  kStale,        // the answer before, again
  kZeros,        // nothing was computed
  kOtherExpert,  // the neighbors of the experts that were asked for
};

class Liar {
 public:
  // One answer in so many is altered, drawn. The model must outlive the object.
  Liar(const SimModel& model, LieKind kind, uint64_t one_in, uint64_t seed);

  void asked(const Compute& request, ByteSpan tensor);
  // Returns whether something else is there now. The checksum fits.
  bool alter(Partial* partial, ByteVector* tensor);
  uint64_t lies() const { return lies_; }

 private:
  struct Question {
    Compute request;
    ByteVector tensor;
  };

  ByteVector altered(const Partial& partial, const ByteVector& tensor);
  ByteVector flipped(const ByteVector& tensor, size_t values);
  ByteVector of_neighbors(const Question& question);

  const SimModel& model_;
  HonestAnswers answers_;
  LieKind kind_;
  uint64_t one_in_;
  CounterRandom random_;
  uint64_t position_ = 0;
  std::map<uint64_t, Question> questions_;  // by request
  std::map<size_t, ByteVector> last_;       // by rows
  uint64_t lies_ = 0;
};

}  // namespace potluck::sim
