// Manifest: what a model's experts are, grain by grain: shapes, lengths (they follow from the
// shape) and SHA-256. Signed by the pool's key; a worker trusts nothing about a model but a
// manifest whose signature it has checked, and no grain whose digest is not in it. Immutable once
// made; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/signature.h"
#include "engine/experts/expert_shape.h"
#include "engine/experts/unit_id.h"

namespace potluck {

struct ManifestLayer {
  uint32_t layer = 0;
  uint32_t experts = 0;
  ExpertShape shape;
  ChunkPlan plan;              // follows from the shape; computed, not stored
  std::vector<Digest> grains;  // [experts, plan.grains]
};

class Manifest {
 public:
  // Layers ascend, their shapes passed check_expert_shape(), and each has all its digests; plans
  // are computed here. Of the name, control characters become '_' and an overlong tail is cut.
  Manifest(std::string model_name, std::vector<ManifestLayer> layers);

  // Reads encode()'s bytes. Everything is checked against limits.h and against itself; trailing
  // bytes, layers out of order, one digest for grains of two lengths or an arithmetic version other
  // than ours are errors.
  static Result<Manifest> decode(ByteSpan bytes);
  ByteVector encode() const;
  Digest digest() const;  // SHA-256 of encode(): the manifest's name

  const std::string& model_name() const { return model_name_; }
  std::span<const ManifestLayer> layers() const { return layers_; }
  const ManifestLayer* layer(uint32_t layer) const;  // null for a layer without experts

  bool contains(GrainId id) const;
  const Digest& digest_of(GrainId id) const;  // the grain must exist (CHECK)
  uint64_t grain_bytes(GrainId id) const;     // likewise
  uint64_t largest_grain_bytes() const;
  uint64_t total_bytes() const;
  uint64_t memory_bytes() const;  // that this object takes, nearly
  // What the experts of all layers are computed with, by number.
  std::vector<KernelPart> kernel_parts() const;

 private:
  std::string model_name_;
  std::vector<ManifestLayer> layers_;    // by layer, ascending
  std::vector<int32_t> index_of_layer_;  // into layers_, -1 for none
};

// Whether every digest stands for one length: a grain that is shared by two layers is as long in
// both. Lengths follow from shapes, so a manifest could claim otherwise; code that read a grain
// for one layer and handed it to another would then read past its end. The error names both
// places. Takes n log n for n grains, and nothing where all lengths are equal.
Status check_grain_lengths(std::span<const ManifestLayer> layers);

// What crosses the wire and lies on a worker's disk.
struct SignedManifest {
  ByteVector body;  // Manifest::encode()
  Signature signature{};
};

SignedManifest sign_manifest(const Manifest& manifest, const SigningKey& key);
Result<Manifest> verify_manifest(const SignedManifest& manifest, const SigningPublicKey& key);

}  // namespace potluck
