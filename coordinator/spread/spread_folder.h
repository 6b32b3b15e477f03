// SpreadFolder: what a coordinator keeps for good of a model whose experts its workers hold. Every
// file is replaced as a whole or only grows, so that an interruption at any point leaves something
// from which spreading goes on; what is read back is checked like anything from outside. One
// thread.
//
//   DIR/about            the source, its identity, sizes, how many copies
//   DIR/parts/NAME.gguf  the resident part of each of the model's files (resident_file.h)
//   DIR/layers/7         digests of the first experts of layer 7, grain by grain, then the SHA-256
//                        of all that: written before any worker is offered these experts
//   DIR/manifest         signature and body; there once every expert has its copies
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/storage.h"
#include "engine/experts/manifest.h"

namespace potluck {

struct SpreadAbout {
  std::string source;                   // as the user named it, a path in full
  std::vector<std::string> identities;  // of its files; source_storage.h
  std::vector<std::string> parts;       // names of the resident parts
  uint32_t replicas = 2;
  uint64_t whole_bytes = 0;
  uint64_t resident_bytes = 0;
  uint64_t expert_bytes = 0;  // as workers hold them, one copy
  uint64_t grains = 0;        // of all experts
  uint32_t layers = 0;        // numbers of layers are below it
};

class SpreadFolder {
 public:
  // `storage` must outlive the object.
  SpreadFolder(Storage& storage, std::string directory)
      : storage_(storage), directory_(std::move(directory)) {}

  const std::string& directory() const { return directory_; }
  std::string part_path(const std::string& name) const { return directory_ + "/parts/" + name; }
  // There from the moment at which all resident parts are complete.
  bool has_resident() const { return storage_.exists(directory_ + "/resident"); }
  Status mark_resident();

  // kNotFound when there is no such folder.
  Result<SpreadAbout> about() const;
  Status save_about(const SpreadAbout& about);

  // Digests of as many experts of the layer as are known, from the first on; at most `experts`.
  // `panels` is ExpertShape::panels(): digests of another order of bytes are not known.
  std::vector<Digest> layer(uint32_t layer, uint32_t experts, uint32_t grains,
                            uint32_t panels) const;
  Status save_layer(uint32_t layer, std::span<const Digest> digests, uint32_t panels);

  bool complete() const { return storage_.exists(directory_ + "/manifest"); }
  Result<SignedManifest> manifest() const;
  Status save_manifest(const SignedManifest& manifest);

  // For people: of how many grains the digests are known, by the sizes of the files.
  uint64_t known_grains(uint32_t layers) const;

 private:
  std::string layer_path(uint32_t layer) const;

  Storage& storage_;
  std::string directory_;
};

// A name under which a model can be kept: letters, digits, '.', '-' and '_', at most 128, none in
// front that would hide it. Anything else becomes '-'.
std::string folder_name(const std::string& text);

}  // namespace potluck
