#include "coordinator/serving/http/key_check.h"

#include <set>

namespace potluck {

ApiError missing_key() {
  ApiError error{401, "authentication_error",
                 "this server needs a key that it knows: 'Authorization: Bearer KEY'"};
  error.code = "invalid_api_key";
  return error;
}

std::optional<std::string> KeyCheck::admit(const HttpHeaders& headers) {
  const ApiKeys& now = keys();
  if (!now.required()) return std::string();
  auto name = now.find(headers);
  if (!name) {
    ++refused_;
    return std::nullopt;
  }
  ++admitted_[*name];
  forget_others(now);
  return name;
}

bool KeyCheck::stays_here(const std::string& name) {
  // One that has gone since it was admitted may have been one that stays.
  bool known = name.empty();
  for (const ApiKey& key : keys().list()) {
    if (key.name != name) continue;
    if (key.local) return true;
    known = true;
  }
  return !known;
}

void KeyCheck::forget_others(const ApiKeys& keys) {
  if (admitted_.size() <= ApiKeys::kMost) return;
  std::set<std::string_view> names;
  for (const ApiKey& key : keys.list()) names.insert(key.name);
  std::erase_if(admitted_, [&](const auto& entry) { return !names.contains(entry.first); });
}

void KeyCheck::write_metrics(MetricText* text) {
  const ApiKeys& now = keys();
  if (!now.required()) return;
  // A rate needs the zero before the first one.
  for (const ApiKey& key : now.list()) admitted_.try_emplace(key.name, 0);
  forget_others(now);
  text->begin("requests_total", "counter", "Requests with a key, by its name.");
  for (const auto& [name, count] : admitted_) {
    text->sample("requests_total", metric_label("key", name), count);
  }
  text->counter("requests_without_key_total", "Requests that were refused for lack of a key.",
                refused_);
}

}  // namespace potluck
