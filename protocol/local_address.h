// Which of this machine's addresses a connection to some endpoint would use: the one by which that
// side reaches us, if it can. Asks the routing table; sends nothing. Plain function; any thread.
#pragma once

#include <string>

#include "engine/base/result.h"

namespace potluck {

// "192.168.1.7", or an IPv6 address without brackets. `endpoint` is "tcp://HOST:PORT"; a host name
// is looked up.
Result<std::string> local_address_towards(const std::string& endpoint);

}  // namespace potluck
