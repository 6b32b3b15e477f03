#include "coordinator/models/hub.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/models/hub_address.h"
#include "coordinator/models/json_fields.h"
#include "coordinator/models/model_limits.h"
#include "coordinator/models/model_name.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr size_t kShownText = 300;
constexpr int kGood = 200;

bool is_commit(const std::string& text) {
  return text.size() >= 7 && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// Nothing for what cannot be a file of a model here.
std::optional<HubFile> read_hub_file(const JsonValue& value) {
  HubFile file;
  file.path = json_member_text(value, "rfilename");
  if (!is_plain_path(file.path)) return std::nullopt;
  auto size = json_member_size(value, "size");
  if (const JsonValue* lfs = json_member(value, "lfs"); lfs != nullptr && !lfs->is_null()) {
    std::string digest = json_member_text(*lfs, "sha256");
    if (digest.empty()) digest = json_member_text(*lfs, "oid");
    auto parsed = parse_digest(digest);
    if (!parsed) return std::nullopt;
    file.sha256 = *parsed;
    if (auto large = json_member_size(*lfs, "size")) size = large;
  }
  if (!size || *size > limits::kModelFileBytes) return std::nullopt;
  file.bytes = *size;
  return file;
}

}  // namespace

Result<HubRepo> read_hub_answer(std::string_view text) {
  auto document = parse_json(text);
  if (!document) return document.error().in("the hub's answer");
  HubRepo repo;
  repo.commit = json_member_text(*document, "sha");
  const JsonValue* siblings = json_member(*document, "siblings");
  if (!is_commit(repo.commit) || siblings == nullptr || siblings->array() == nullptr) {
    return Error{ErrorCode::kCorrupt,
                 "the hub's answer: expected a commit and a list of files, found something else"};
  }
  if (siblings->array()->size() > limits::kHubFiles) {
    return Error{ErrorCode::kLimit,
                 fmt::format("the hub's answer: a repository of {} files, at most {} are taken",
                             siblings->array()->size(), limits::kHubFiles)};
  }
  for (const JsonValue& value : *siblings->array()) {
    if (auto file = read_hub_file(value)) repo.files.push_back(std::move(*file));
  }
  return repo;
}

Error hub_refusal(const HttpDocument& answer, const std::string& hub, const std::string& repo,
                  bool has_token) {
  const std::string says =
      answer.error_text.empty() ? "" : " (" + clean_text(answer.error_text, kShownText) + ")";
  const std::string where = fmt::format("{}/{}", shown_address(hub), repo);
  auto error = [&](ErrorCode code, const std::string& what) {
    return Error{code, fmt::format("{}: {}: the hub says {}{}", where, what, answer.status, says)};
  };
  if (answer.status == 403 || answer.error_code == "GatedRepo") {
    const char* token = has_token ? "" : ", then give a token of your account (HF_TOKEN)";
    return error(
        ErrorCode::kRefused,
        fmt::format("its owner gives it to those who accept the conditions: do that at {}{}", where,
                    token));
  }
  if (answer.status == 401 && has_token) {
    return error(ErrorCode::kRefused,
                 "the token was not accepted, or there is no such repository: the token may have "
                 "expired, make a new one in the settings of your account (HF_TOKEN)");
  }
  if (answer.status == 401) {
    return error(ErrorCode::kNotFound,
                 "there is no such repository, or it is a private one, which needs a token "
                 "(HF_TOKEN); upper and lower case differ");
  }
  if (answer.status == 404) {
    const bool is_gguf = folded_name(repo).find("gguf") != std::string::npos;
    const char* hint = is_gguf ? ""
                               : "; GGUF files are often in a repository of their own, such as "
                                 "USER/NAME-GGUF";
    return error(
        ErrorCode::kNotFound,
        fmt::format("there is no such repository or revision; upper and lower case differ{}",
                    hint));
  }
  return error(ErrorCode::kIo, "it cannot be had");
}

Result<HubRepo> ask_hub(const std::string& hub, const std::string& repo,
                        const std::string& revision, const HttpOptions& http) {
  const std::string question = hub_question(hub, repo, revision);
  auto answer = http_get(question, http, limits::kHubAnswerBytes);
  if (!answer) return answer.error();
  if (answer->status != kGood) return hub_refusal(*answer, hub, repo, !http.token.empty());
  auto files = read_hub_answer(answer->body);
  if (!files) return files.error().in(shown_address(question));
  return files;
}

}  // namespace potluck
