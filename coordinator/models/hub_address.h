// Addresses of a model hub that speaks Hugging Face's API. Pure functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "coordinator/models/model_name.h"

namespace potluck {

inline constexpr const char* kUsualHub = "https://huggingface.co";

// What an address on the hub means: https://HUB/USER/REPO, or /resolve/REVISION/FILE or
// /blob/REVISION/FILE behind it. Nothing for other addresses.
struct HubAddress {
  HubName name;
  std::string revision = "main";
};
std::optional<HubAddress> parse_hub_address(const std::string& address, const std::string& hub);

// Where the hub tells what is in a repository, and where it gives a file. `path` may have any
// characters.
std::string hub_question(const std::string& hub, const std::string& repo,
                         const std::string& revision);
std::string hub_file_address(const std::string& hub, const std::string& repo,
                             const std::string& commit, const std::string& path);

// Whether a token may go there: over https, or to this machine.
bool is_safe_for_token(const std::string& address);

}  // namespace potluck
