#include "coordinator/cli/model_argument.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/ranges.h>

#include "coordinator/cli/directories.h"
#include "coordinator/cli/nearest_name.h"
#include "coordinator/models/hub_address.h"
#include "coordinator/models/model_search.h"
#include "coordinator/serving/engine_setup.h"
#include "coordinator/spread/spread_folder.h"

namespace potluck {
namespace {

constexpr uint64_t kTokenBytes = 4096;

std::optional<std::string> variable_text(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

std::string user_home() {
  return variable_text("HOME").value_or(".");
}

// As it goes into a header: nothing that would end the line.
Result<std::string> checked_token(std::string token, const std::string& where) {
  while (!token.empty() && static_cast<unsigned char>(token.back()) <= ' ') token.pop_back();
  const bool good = token.size() <= kTokenBytes &&
                    std::ranges::all_of(token, [](char c) { return c > ' ' && c < 0x7f; });
  if (good) return token;
  return Error{ErrorCode::kInvalidArgument,
               where + ": expected a token of printable characters without spaces"};
}

}  // namespace

std::string models_directory() {
  std::string directory = variable_text("POTLUCK_MODELS").value_or(home_directory() + "/models");
  while (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
  return directory;
}

std::vector<ModelPlace> own_model_places() {
  return model_places(user_home(), models_directory(), variable_text);
}

std::string hub_address() {
  std::string address;
  for (const char* name : {"POTLUCK_HUB", "HF_ENDPOINT"}) {
    if (address.empty()) address = variable_text(name).value_or("");
  }
  if (address.empty()) address = kUsualHub;
  while (address.ends_with('/')) address.pop_back();
  return address;
}

Result<std::string> hub_token(Storage& storage) {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (auto token = variable_text(name)) return checked_token(std::move(*token), name);
  }
  for (const std::string& path : hub_token_files(user_home(), variable_text)) {
    if (!storage.exists(path)) continue;
    auto text = read_file(storage, path, kTokenBytes);
    if (!text) return text.error();
    return checked_token(std::string(as_text(*text)), path);
  }
  return std::string();
}

Result<FoundModel> find_named_model(const std::string& text, const Environment& environment) {
  auto found = find_model(environment.storage, own_model_places(), text, hub_address());
  if (!found || found->trouble.empty()) return found;
  return Error{ErrorCode::kNotFound, found->path() + ": " + found->trouble};
}

Result<std::string> path_of_model(const std::string& text, const Environment& environment) {
  auto found = find_named_model(text, environment);
  if (!found) return found.error();
  return found->path();
}

Result<std::variant<std::string, PublishedFile>> path_or_published(const std::string& text,
                                                                   const Environment& environment) {
  using Either = std::variant<std::string, PublishedFile>;
  Result<std::string> path = path_of_model(text, environment);
  if (path) return Either(std::move(*path));
  if (path.error().code != ErrorCode::kNotFound) return path.error();
  Result<PublishedFile> published = find_published(text);
  if (published) return Either(std::move(*published));
  if (published.error().code != ErrorCode::kNotFound) return published.error();
  const std::vector<std::string> names = published_names();
  const std::string near = suggestion(text.substr(0, text.find(':')), names);
  Error error = path.error();
  error.message += near.empty()
                       ? fmt::format("; known without a file are {}", fmt::join(names, ", "))
                       : "; of the models known without a file" + near;
  return error;
}

std::string store_of_model(const FoundModel& model) {
  const bool foreign = !model.place.empty() && model.kind != PlaceKind::kOwn;
  if (!foreign) return model.path() + ".potluck";
  return home_directory() + "/stores/" + folder_name(model.name);
}

std::string id_of_model(const FoundModel& model) {
  return model.kind == PlaceKind::kOllama ? model.name : served_model_id(model.path());
}

}  // namespace potluck
