// TokenMixer: the part of a layer in which a token row learns about the rows before it. One class
// per kind; the layer loop knows only this interface. The work is cut in two halves, because in the
// last layer every row must be remembered, but only some have a result that anyone wants. Owns
// scratch memory; one thread (and its pool).
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "engine/model/attention.h"
#include "engine/model/model.h"
#include "engine/model/rope.h"
#include "engine/model/rows.h"

namespace potluck {

// Sines and cosines of one rope, by row of begin().
struct RopeAngles {
  uint32_t pairs = 0;
  std::vector<float> cosines;  // [rows of begin(), pairs]
  std::vector<float> sines;    // [rows of begin(), pairs]
};

// The token rows of a step. Rows of one session stand together, in order of position.
struct StepRows {
  std::vector<AttentionRow> rows;   // [rows]
  std::vector<KvCache*> caches;     // [rows]
  std::vector<uint32_t> sources;    // [rows]: which row of begin() it was
  std::array<RopeAngles, 2> ropes;  // kMain, kWindow

  uint32_t count() const { return static_cast<uint32_t>(rows.size()); }
  // Turns what rope turns of one head of a row.
  void turn(LayerRope rope, RopePairs kind, uint32_t row, float* head) const {
    if (rope == LayerRope::kNone) return;
    const RopeAngles& angles = ropes[static_cast<size_t>(rope)];
    uint64_t first = uint64_t{sources[row]} * angles.pairs;
    rotate(kind, angles.cosines.data() + first, angles.sines.data() + first, angles.pairs, head);
  }
  // Undoes it.
  void turn_back(LayerRope rope, RopePairs kind, uint32_t row, float* head) const {
    const RopeAngles& angles = ropes[static_cast<size_t>(rope)];
    uint64_t first = uint64_t{sources[row]} * angles.pairs;
    rotate_back(kind, angles.cosines.data() + first, angles.sines.data() + first, angles.pairs,
                head);
  }
};

class TokenMixer {
 public:
  virtual ~TokenMixer() = default;

  // Adds the forms in which remember() reads its input.
  virtual void input_forms(uint32_t layer, std::vector<ActivationForm>* forms) const = 0;

  // First half, for all rows: reads their normed hidden state [rows, hidden] and leaves in the
  // caches what later tokens need.
  virtual void remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) = 0;

  // Between the halves: row `from` of the first half becomes row `to` of the second.
  virtual void move_row(uint32_t from, uint32_t to) = 0;

  // Second half, for the rows that are left: out [rows, hidden], which is grown.
  virtual void mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) = 0;
};

// The mixers that the model's layers need, [kinds]; null where no layer is of that kind.
struct TokenMixers {
  TokenMixers(const Model& model, const ComputeContext& compute);

  // Not for kNone.
  TokenMixer& of(MixerKind kind) const { return *mixers[static_cast<size_t>(kind)]; }

  std::unique_ptr<TokenMixer> mixers[kMixerKinds];
};

std::unique_ptr<TokenMixer> make_attention_mixer(const Model& model, const ComputeContext& compute);
std::unique_ptr<TokenMixer> make_latent_attention_mixer(const Model& model,
                                                        const ComputeContext& compute);
std::unique_ptr<TokenMixer> make_delta_net_mixer(const Model& model, const ComputeContext& compute);
std::unique_ptr<TokenMixer> make_short_convolution_mixer(const Model& model,
                                                         const ComputeContext& compute);
std::unique_ptr<TokenMixer> make_mamba_mixer(const Model& model, const ComputeContext& compute);
std::unique_ptr<TokenMixer> make_kimi_delta_mixer(const Model& model,
                                                  const ComputeContext& compute);
std::unique_ptr<TokenMixer> make_compressed_attention_mixer(const Model& model,
                                                            const ComputeContext& compute);

}  // namespace potluck
