#include "coordinator/serving/http/request_address.h"

#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

constexpr std::string_view kLocalHeader = "x-potluck-local";
constexpr std::string_view kLocalMember = "potluck_local";

bool says_no(std::string_view value) {
  return value == "0" || value == "false";
}

bool keeps_here(const JsonValue& value) {
  const bool* flag = std::get_if<bool>(&value.data);
  return !value.is_null() && (flag == nullptr || *flag);
}

}  // namespace

void address(const HttpHeaders& headers, const JsonValue& body, bool key_stays,
             CompletionRequest* request) {
  request->local = key_stays;
  // A header may be there several times; one that keeps it here is enough.
  for (const auto& [name, value] : headers) {
    if (same_header_name(name, kLocalHeader) && !says_no(trimmed(value))) request->local = true;
  }
  if (body.object() == nullptr) return;
  for (const auto& [name, value] : *body.object()) {
    if (name == kLocalMember && keeps_here(value)) request->local = true;
    if (name == "model" && value.text() != nullptr) request->model = *value.text();
  }
}

}  // namespace potluck
