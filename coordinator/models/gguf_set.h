// GgufSet: the GGUF files of a folder or repository by model: one file, or all parts of a split
// one. And which of them a name means. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace potluck {

// A file as a listing has it.
struct ListedFile {
  std::string path;  // inside the folder or repository
  uint64_t bytes = 0;
  std::string trouble;  // why it cannot be read; empty: it can
};

struct GgufSet {
  std::vector<ListedFile> files;  // in the order of the parts; one that is missing has a trouble
  uint64_t bytes = 0;             // of those that are there

  const std::string& path() const { return files.front().path; }
  std::string trouble() const;  // the first one
};

// Sets in the order of their paths. Files that are no model (projectors for images, importance
// matrices) and parts with impossible numbers are left out.
std::vector<GgufSet> gguf_sets(std::vector<ListedFile> files);

// `choice`: a quantization or a file; empty: the only set, or else the one in Q4_K_M. kNotFound and
// kInvalidArgument (several): the error lists what there is, for `where`.
Result<size_t> choose_set(const std::vector<GgufSet>& sets, std::string_view choice,
                          const std::string& where);

// For people, each with its size; by choices or by paths. Bounded.
std::string list_of_sets(const std::vector<GgufSet>& sets, bool by_choice);

// The name of a set inside its repository: its quantization if that is its alone, else its path.
std::string set_choice(const std::vector<GgufSet>& sets, size_t index);

}  // namespace potluck
