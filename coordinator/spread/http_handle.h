// What every request over http and https has in common: which addresses are taken, how libcurl is
// set up, when a server is asked again, and what people read of an address. Plain functions; any
// thread, a handle by one at a time.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/result.h"

namespace potluck {

struct HttpOptions {
  std::string ca_file;  // certificates to trust; empty: the system's
  std::string token;    // sent as "Authorization: Bearer" to the host of the address; may be empty
  // Reads end soon after this becomes true. Must outlive the files; null: they do not.
  const std::atomic<bool>* stop = nullptr;
  // Unix time, for a server that names the moment at which it wants to be asked again; null: such a
  // server is asked after the usual pause.
  std::function<int64_t()> unix_seconds{};
  // Attempts in a row without a new byte, after which a read fails; and the pause after the first,
  // twice as long each time.
  uint32_t attempts = 8;
  Duration first_pause = std::chrono::milliseconds(500);
  // A transfer slower than a byte in so long counts as cut off.
  uint32_t stall_seconds = 30;
};

// Of an address or of libcurl's words in an error; both may quote the server.
inline constexpr size_t kShownHttpBytes = 512;

bool is_stopped(const HttpOptions& options);
Error cancelled_reading();

// For people, without what may be a secret.
std::string shown_address(const std::string& address);

// kInvalidArgument: it is no http or https address, or has a password in it.
Status check_address(const std::string& address);

// Everything but the callbacks: verified certificates, a few redirections and never from https to
// http, the token for the host of the address alone, bytes as the server has them. `handle` is
// libcurl's easy handle, `error_buffer` has CURL_ERROR_SIZE bytes; both texts must outlive it.
Status set_up_http(void* handle, const std::string& address, const HttpOptions& options,
                   char* error_buffer);

// What libcurl's result says of a request that got no answer.
struct HttpTrouble {
  std::optional<Error> failed;  // not worth another attempt
  std::string trouble;          // worth one, for this reason
};
HttpTrouble judge_http_code(int curl_code, const char* error_buffer);

// The server is busy or broken, and may be asked again.
bool is_passing_status(int status);

// Waits before the next attempt, for as long as the server asked for, within bounds. kCancelled
// when the process is about to end.
Status pause_http(const HttpOptions& options, std::optional<uint64_t> wait_seconds,
                  uint32_t failures);

}  // namespace potluck
