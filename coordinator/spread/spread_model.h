// SpreadModel: a model that is being spread, or was: its folder, its resident part as files that a
// Model opens, and its source. Used before a pool is there by one thread, and then by the pool's.
//
//   open() -> the folder's resident part is complete -> storage() and model_path() make a Model ->
//   a Spreader reads experts from source()
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>

#include "coordinator/spread/spreader.h"
#include "engine/base/log_sink.h"
#include "engine/experts/grain_cutter.h"

namespace potluck {

struct SpreadOptions {
  std::string directory;                       // of this model
  std::string source;                          // path or address; empty: as the folder has it
  uint32_t replicas = 0;                       // 0: as the folder has it, 2 for a new one
  uint64_t window_bytes = kSpreadWindowBytes;  // of experts in memory at a time; more is not taken
  HttpOptions http;
};

class SpreadModel {
 public:
  // Begins with reading the source, or goes on where an earlier run stopped: afterwards the
  // resident part is complete. What is complete needs no source. `storage` must outlive the object.
  static Result<std::unique_ptr<SpreadModel>> open(Storage& storage, const SpreadOptions& options,
                                                   const Progress& progress);
  ~SpreadModel();

  Storage& storage();              // opens the resident part
  std::string model_path() const;  // for that
  SpreadFolder& folder() { return folder_; }
  ExpertSource& source();
  const SpreadAbout& about() const { return about_; }
  uint64_t window_bytes() const { return std::min(options_.window_bytes, kSpreadWindowBytes); }
  // Names the content of its files, as GgufModel::fingerprint() does.
  Digest fingerprint() const;

 private:
  class Parts;
  class Source;

  SpreadModel(Storage& storage, const SpreadOptions& options);
  Status begin(const Progress& progress);
  Status describe();
  Status copy_parts(const Progress& progress);

  Storage& storage_;
  SpreadOptions options_;
  SpreadFolder folder_;
  SpreadAbout about_;
  std::unique_ptr<Parts> parts_;
  std::unique_ptr<Source> source_;
};

}  // namespace potluck
