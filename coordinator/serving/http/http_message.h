// HTTP requests and responses as plain values, and the text forms that both sides of the server
// share. Knows no socket. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace potluck {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// Whichever case they are in.
bool same_header_name(std::string_view a, std::string_view b);

// The first header of that name, whichever case it is in; null if there is none.
const std::string* find_header(const HttpHeaders& headers, std::string_view name);

struct HttpRequest {
  std::string method;  // as sent, except that HEAD comes as GET: the server leaves the body out
  std::string path;    // decoded, without the query; may hold any bytes
  std::string query;   // as sent, without the question mark
  HttpHeaders headers;
  std::string body;
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers;  // without those about the length and the connection, which are the server's
  std::string body;
};

// Why there is no request to answer.
struct HttpRefusal {
  int status = 400;
  std::string message;
};

// "Not Found" and the like; never empty.
std::string_view reason_phrase(int status);

// %XX becomes the byte; what is no such escape stays as it is.
std::string percent_decoded(std::string_view text);

// How the length of a body is told.
enum class BodyFraming { kLength, kChunked, kUntilClose };

// Status line and headers, with the empty line that ends them. Headers that cannot stand in a head
// (line ends, empty names) are left out.
std::string response_head(const HttpResponse& response, BodyFraming framing, bool keep_alive);

// One chunk of a body that is sent in chunks. Not for empty text, which would end the body.
std::string chunk(std::string_view text);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace potluck
