#include "coordinator/serving/token_list.h"

#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/base/printable.h"

namespace potluck {
namespace {

// Takes the pieces as the parser reports them, which calls these members by name; false ends it.
// Nothing is nested, so nothing can nest deeply.
class TokenListReader {
 public:
  using Json = nlohmann::json;

  bool null() { return refuse("null"); }
  bool boolean(bool value) { return refuse(value ? "true" : "false"); }
  bool number_integer(Json::number_integer_t value) { return refuse(std::to_string(value)); }
  bool number_unsigned(Json::number_unsigned_t value) {
    if (!is_open_ || value >= limits::kVocabulary) return refuse(std::to_string(value));
    tokens_.push_back(static_cast<TokenId>(value));
    return true;
  }
  bool number_float(Json::number_float_t, const Json::string_t& text) { return refuse(text); }
  bool string(Json::string_t& text) { return refuse(fmt::format("\"{}\"", shortened(text))); }
  bool binary(Json::binary_t&) { return refuse("bytes"); }
  bool key(Json::string_t&) { return refuse("a key"); }
  bool start_object(size_t) { return refuse("an object"); }
  bool end_object() { return refuse("an object"); }
  bool start_array(size_t) {
    if (is_open_) return refuse("an array");
    is_open_ = true;
    return true;
  }
  bool end_array() { return true; }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    error_ = fmt::format("not JSON from byte {} on", position);
    return false;
  }

  const std::string& error() const { return error_; }
  std::vector<TokenId> take() { return std::move(tokens_); }

 private:
  static std::string shortened(const std::string& text) {
    constexpr size_t kShown = 40;
    return printable(std::string_view(text).substr(0, kShown)) + (text.size() > kShown ? ".." : "");
  }

  bool refuse(const std::string& found) {
    error_ = is_open_ ? fmt::format("entry {}: expected a token id from 0 to {}, found {}",
                                    tokens_.size(), limits::kVocabulary - 1, found)
                      : fmt::format("expected a JSON array of token ids, found {}", found);
    return false;
  }

  bool is_open_ = false;
  std::vector<TokenId> tokens_;
  std::string error_;
};

}  // namespace

Result<std::vector<TokenId>> parse_token_list(std::string_view json) {
  TokenListReader reader;
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &reader)) {
    return Error{ErrorCode::kCorrupt, reader.error().empty() ? "not JSON" : reader.error()};
  }
  std::vector<TokenId> tokens = reader.take();
  if (!tokens.empty()) return tokens;
  return Error{ErrorCode::kCorrupt, "expected a JSON array of token ids, found an empty one"};
}

}  // namespace potluck
