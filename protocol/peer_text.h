// Text from peers, made harmless for logs, terminals and JSON: valid UTF-8 without control
// characters, bounded. Also the form of endpoints. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace potluck {

// Replaces each control character and each byte that is not part of valid UTF-8 by '?', and cuts
// the text at a character's border so that at most `limit` bytes are left.
std::string clean_text(std::string_view text, size_t limit);

// "tcp://HOST:PORT" and nothing else: HOST is a name, an IPv4 address or an IPv6 address in
// brackets, PORT is 1 to 65535 without leading zeros. No wildcards: this is where to connect to.
Status check_endpoint(std::string_view endpoint);

// A host as it may stand in an endpoint: a name, an IPv4 address, or an IPv6 address in brackets.
bool is_endpoint_host(std::string_view host);

}  // namespace potluck
