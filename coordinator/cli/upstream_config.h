// The [[upstream]] tables of the configuration file: servers outside this pool to which `serve`
// may send requests, and when.
//
//   [[upstream]]
//   name = "cloud"
//   address = "https://api.example.org/v1"
//   key-file = "cloud.key"
//   models = ["large"]
//   when-prompt-tokens = 16000
//
// Plain values; any thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/cli/config_file.h"
#include "coordinator/upstream/upstream.h"

namespace potluck {

// As the file has it: the key is not read yet.
struct UpstreamTable {
  Upstream upstream;
  std::string key_file;                // empty: none is sent
  uint32_t line = 0;                   // of the file, for errors
  std::vector<Setting> settings = {};  // as they were read, with files where they lie
};

inline constexpr size_t kMostUpstreams = 16;

// The settings of such tables among all of a file; others are passed over. Names of files are as
// seen from the directory of the configuration. Errors name the file and the line.
Result<std::vector<UpstreamTable>> read_upstreams(const std::string& path,
                                                  const std::vector<Setting>& settings);

// With their keys. Errors never quote a key. Tables without any rule are left out.
Result<std::vector<Upstream>> load_upstreams(const std::vector<UpstreamTable>& tables,
                                             Storage& storage);

// As --print-config shows them, with the lines of the file at `path` that they came from; empty
// without any. Never a key.
std::string printed_upstreams(const std::string& path, const std::vector<UpstreamTable>& tables);

// "requests may leave this pool, to 'cloud' (https://api.example.org/v1): prompts of more than
// 16000 tokens".
std::string describe_upstream(const Upstream& upstream);

}  // namespace potluck
