// Compressor: makes one entry of every `ratio` positions, by a softmax over them that each channel
// has for itself (DeepSeek V4, DeepSeek-AI, 2026). Of a position p:
//
//   v = W_v x, g = W_g x + a[p mod ratio]                    [width]
//   entry = norm(sum over the window of softmax(g) * v)      [dimensions], norm by weight
//
// Where windows overlap (ratio 4) v and g are twice as wide: an entry mixes the first half of the
// channels of the window before and the second half of its own, in one softmax; the first window
// has only its own.
//
// Tokens go one after the other, whatever steps they come in, into a running softmax: its largest
// gate m, sum l and sum of values t, which start as they are after the first token.
//
//   (m, l, t) and a token (g, v):  StateKernels::add_to_softmaxes
//   entry of one window:  t / l
//   of two, (m', l', t') before:   M = max(m', m), a = exp(m' - M), b = exp(m - M):
//                                  (t' a + t b) / (l' a + l b)
//
// l is 0 where there was no token yet. What is kept between steps are these numbers; see
// compressor_shape.h. Owns scratch memory; one thread (and its pool).
#pragma once

#include <vector>

#include "engine/model/compressor_shape.h"
#include "engine/model/recurrent_rows.h"

namespace potluck {

class Compressor {
 public:
  Compressor(const ModelConfig& config, const ComputeContext& compute)
      : epsilon_(config.norm_epsilon), compute_(compute), states_(state_kernels(compute.kernels)) {}

  static void input_forms(const CompressorWeights& weights, std::vector<ActivationForm>* forms);
  // Adds the products that advance() needs the results of.
  void project_rows(const CompressorWeights& weights, const ActivationRows& input, uint32_t rows,
                    std::vector<Product>* products);
  // Walks the rows of each run; its state begins `offset` values into what recurrent layers keep.
  void advance(const CompressorShape& shape, const CompressorWeights& weights, const StepRows& rows,
               const RecurrentRows& recurrent, uint32_t offset);
  // [dimensions]: the entry that a row completes; to be asked for once.
  float* entry(const CompressorShape& shape, const CompressorWeights& weights, uint32_t row);

 private:
  // What a thread works on: some channels of the entries of one run.
  struct Task {
    const RecurrentRows::Run& run;
    uint32_t first;  // channels of an entry: [first, end)
    uint32_t end;
  };

  void advance_channels(const CompressorShape& shape, std::span<const float> offsets,
                        const StepRows& rows, const Task& task, const RecurrentShape& state,
                        uint32_t offset);
  void add_row(const CompressorShape& shape, const float* offsets, uint32_t row, const Task& task,
               float* state) const;
  void complete(const CompressorShape& shape, uint32_t row, const Task& task, float* state);

  float epsilon_;
  ComputeContext compute_;
  const StateKernels& states_;
  std::vector<float> values_;   // [rows, width]
  std::vector<float> gates_;    // [rows, width]
  std::vector<float> entries_;  // [rows, dimensions]
};

}  // namespace potluck
