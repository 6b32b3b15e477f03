// InputHistory: what was typed in conversations, kept between runs: a file of JSON texts, one a
// line, for its owner alone. Bounded. Owned by the reader of the input; one thread.
#pragma once

#include <string>
#include <vector>

#include "engine/base/storage.h"

namespace potluck {

// $XDG_STATE_HOME/potluck/history, or ~/.local/state/potluck/history; empty where neither is known.
std::string history_path();

class InputHistory {
 public:
  static constexpr size_t kMostEntries = 1000;
  static constexpr uint64_t kMostBytes = 1024 * 1024;  // of the file

  // The storage must outlive the object. An empty path: nothing is kept.
  InputHistory(Storage* storage, std::string path) : storage_(*storage), path_(std::move(path)) {}

  // The oldest first; lines that make no sense are passed over. Empty where there is no file.
  std::vector<std::string> load();
  // Behind what other conversations have added meanwhile; the oldest make way. A message like the
  // one before, or larger than the file may be, is not kept.
  Status add(const std::string& message);

 private:
  Storage& storage_;
  std::string path_;
};

}  // namespace potluck
