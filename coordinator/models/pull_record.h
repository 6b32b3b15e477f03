// What a pull keeps of itself in the folder of Potluck's models, so that it goes on after any
// interruption, and so that `rm` knows what is Potluck's own. One thread.
//
//   MODELS/USER/REPO/FILE.gguf     there once all files of the model are whole and checked
//   MODELS/.potluck/KEY/record     name, source, files with sizes and digests (JSON)
//   MODELS/.potluck/KEY/lock       held by the process that pulls
//   MODELS/.potluck/KEY/0.part     file 0 as far as it is there, with holes
//   MODELS/.potluck/KEY/0.blocks   a byte for each MiB of it: 1, there and on the disk
//   MODELS/.potluck/KEY/0.checked  its digest was compared
//   MODELS/.potluck/KEY/finished   the files are at their places
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/models/block_book.h"
#include "coordinator/models/model_catalog.h"
#include "engine/base/hash.h"
#include "engine/base/storage.h"

namespace potluck {

struct PulledFile {
  std::string path;     // below MODELS; a plain path
  std::string address;  // where it is fetched from
  uint64_t bytes = 0;
  std::optional<Digest> sha256;  // as the server says it; nothing: it does not
  std::string tag;               // what tells its content from another one where there is no digest

  bool is_same_content(const PulledFile& other) const {
    return bytes == other.bytes && sha256 == other.sha256 && tag == other.tag;
  }
};

struct PullRecord {
  std::string name;    // what commands take
  std::string source;  // for people
  std::vector<PulledFile> files;

  uint64_t bytes() const;
};

class PullFolder {
 public:
  // Of the model whose first file is at `path` below `models`. `storage` must outlive the object.
  PullFolder(Storage& storage, const std::string& models, const std::string& path);
  static PullFolder at(Storage& storage, const std::string& models, const std::string& key);

  const std::string& directory() const { return directory_; }
  std::string lock_path() const { return directory_ + "/lock"; }
  std::string part_path(size_t file) const { return path_of(file, "part"); }
  std::string blocks_path(size_t file) const { return path_of(file, "blocks"); }
  std::string target_path(const PulledFile& file) const { return models_ + "/" + file.path; }

  // kNotFound when nothing was pulled here.
  Result<PullRecord> record() const;
  Status save(const PullRecord& record);
  BlockBook book(size_t file, uint64_t bytes) const;

  bool is_checked(size_t file) const { return storage_.exists(path_of(file, "checked")); }
  Status mark_checked(size_t file) { return storage_.write_atomic(path_of(file, "checked"), {}); }
  // What is there of the file does not count any more; its bytes stay until they are overwritten.
  Status start_over(size_t file);

  bool is_finished() const { return storage_.exists(directory_ + "/finished"); }
  Status mark_finished();
  // Everything that is here but the models themselves; what cannot be removed is left.
  void forget();

 private:
  PullFolder(Storage& storage, std::string models, std::string directory, int)
      : storage_(storage), models_(std::move(models)), directory_(std::move(directory)) {}
  std::string path_of(size_t file, const char* what) const;

  Storage& storage_;
  std::string models_;
  std::string directory_;
};

// The record under which the model at `path`, a full one, was pulled.
struct OwnPull {
  PullFolder folder;
  PullRecord record;
};
std::optional<OwnPull> find_pull(Storage& storage, const std::string& models,
                                 const std::string& path);

// Pulls that are not done, as the catalog shows them: "files" are parts as far as they are there.
std::vector<FoundModel> unfinished_pulls(Storage& storage, const std::string& models);

}  // namespace potluck
