// What a hub says that a repository has, and what its refusals mean to a user. The answer is a
// stranger's: sizes, digests and paths are checked before anything is named after them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/spread/http_get.h"
#include "engine/base/hash.h"

namespace potluck {

struct HubFile {
  std::string path;
  uint64_t bytes = 0;
  std::optional<Digest> sha256;  // of large files alone
};

struct HubRepo {
  std::string commit;
  std::vector<HubFile> files;  // those whose paths can be paths here
};

// Pure.
Result<HubRepo> read_hub_answer(std::string_view text);

// What a status other than 200 means, and what can be done. Pure.
Error hub_refusal(const HttpDocument& answer, const std::string& hub, const std::string& repo,
                  bool has_token);

// Blocks; any thread.
Result<HubRepo> ask_hub(const std::string& hub, const std::string& repo,
                        const std::string& revision, const HttpOptions& http);

}  // namespace potluck
