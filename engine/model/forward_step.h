// Forward::Step: the state of a step, and the parts of the layer loop. The loop itself, with the
// part that mixes tokens, is in forward.cpp; what follows the mixer in a layer is in
// feed_forward_step.cpp. Internal to Forward; one thread (and its pool).
#pragma once

#include <array>
#include <vector>

#include "engine/model/expert_choice.h"
#include "engine/model/expert_prefetch.h"
#include "engine/model/feed_forward.h"
#include "engine/model/forward.h"
#include "engine/model/hyper_connections.h"
#include "engine/model/latent_experts.h"
#include "engine/model/norm.h"
#include "engine/model/output_logits.h"
#include "engine/model/per_layer_inputs.h"
#include "engine/model/row_fault.h"
#include "engine/model/token_mixer.h"

namespace potluck {

// All state of a step. "Rows" below are the rows still computed: all of them up to what the last
// layer remembers, from there on those that want logits.
struct Forward::Step {
  Step(const Model& from, const KernelTable& table, ThreadPool& threads);

  void begin(std::span<const ForwardRow> wanted);
  ForwardState advance();
  void meanwhile();
  void supply(const ExpertSums& sums);

  uint32_t row_count() const { return rows.count(); }
  bool mixes() const { return config.mixer(layer) != MixerKind::kNone; }
  bool has_streams() const { return config.hyper.streams > 1; }
  float* residual_row(uint32_t row) {
    return residual.data() + uint64_t{row} * config.residual_columns();
  }
  // What a part of the layer, or the last norm, reads of the rows, before the norm: [rows, hidden].
  const float* part_inputs() const { return has_streams() ? inputs.data() : residual.data(); }
  const float* part_input(uint32_t row) const {
    return part_inputs() + uint64_t{row} * config.hidden;
  }
  void read_streams(const HyperWeights& from) {
    if (has_streams()) hyper.read(from, row_count(), residual.data(), inputs);
  }
  const LayerWeights& weights() const { return model.weights().layers[layer]; }

  void embed(std::span<const ForwardRow> wanted);
  void mix_tokens();
  void keep_wanted_rows();
  void fill_ropes(uint32_t row, const ForwardRow& from);
  void norm(const float* x, const std::vector<float>& weight, const std::vector<float>& bias,
            float* y) const {
    normalize(config, kernels, x, weight, bias, y);
  }
  float* mixed_row(uint32_t row) { return mixed.data() + uint64_t{row} * config.hidden; }
  void add_scaled(float* x, const float* addend, float scale) const;
  void add_to_residual(uint32_t row, const float* addend, float scale) {
    add_scaled(residual_row(row), addend, scale);
  }
  // Adds what a part gave, [hidden], to the residual or to its streams.
  void add_part(uint32_t row, const float* addend) {
    if (has_streams()) return hyper.write(row, addend, residual_row(row));
    add_to_residual(row, addend, config.residual_scale);
  }
  void add_mixed(uint32_t row);
  void add_feed_forward(uint32_t row);
  void add_experts(uint32_t row, const ExpertSums& sums);
  void add_routed(uint32_t row, const ExpertSums& sums, float scale, float* x) const;
  void add_both_parts(uint32_t row, const ExpertSums& sums);
  void begin_ffn(uint32_t row);
  void normalize_for_ffn();
  void choose_experts();
  void guess_experts();
  void make_batch();
  void run_ffn(const FeedForwardWeights& w) {
    ffn.run(w, config.ffn_activation_of(layer), normed, row_count());
  }
  void feed_forward();
  void finish_layer();
  void compute_logits();
  RowFault& fault_of(uint32_t row) { return faults[rows.sources[row]]; }
  void fail(uint32_t row, RowFault::Kind kind);
  void show(ResidualPoint point);

  const Model& model;
  const ModelConfig& config;
  ComputeContext compute;
  const KernelTable& kernels;
  ThreadPool& pool;
  std::array<RopeFrequencies, 2> ropes;  // kMain, kWindow
  RopeFrequencies long_rope;             // instead of kMain, where RopeConfig::takes_long() says so
  PerLayerInputs per_layer;
  TokenMixers mixers;
  ExpertChoice choice;
  FeedForward ffn;
  LatentExperts latent;
  ExpertPrefetch prefetch;
  HyperConnections hyper;
  OutputLogits output;
  ReadAhead read_ahead = ReadAhead::kOff;
  LayerObserver* observer = nullptr;

  uint32_t layer = 0;
  bool waiting = false;      // for supply()
  bool shared_done = false;  // while waiting
  uint32_t logit_rows = 0;   // valid in kDone
  StepRows rows;
  std::vector<uint8_t> wants_logits;   // [rows of begin()]
  std::vector<RowFault> faults;        // [rows of begin()]
  std::vector<uint32_t> positions;     // [rows of begin()]
  std::vector<TokenId> tokens;         // [rows of begin()]
  std::vector<TokenId> row_tokens;     // [rows]
  std::vector<float> residual;         // [rows, streams * hidden]
  std::vector<float> inputs;           // [rows, hidden]: what a part reads of several streams
  std::vector<ActivationForm> forms;   // of `normed`
  ActivationRows normed;               // [rows, hidden]
  std::vector<float> mixed;            // [rows, hidden]: what is added to the residual
  std::vector<float> routed_part;      // [rows, hidden], where it is normed by itself
  std::vector<int32_t> fraction_bits;  // [rows]
  ExpertBatch batch;
  ExpertSums sums;
};

}  // namespace potluck
