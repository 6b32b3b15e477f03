// Which web pages may look at the pool and change it: only the dashboard itself. A browser sends
// requests on behalf of any page it shows, so each request has to say where it comes from. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "coordinator/serving/http/http_message.h"

namespace potluck {

// Whether "HOST" or "HOST:PORT" is a name that only this machine can mean.
bool is_this_machine(std::string_view host);

// Why the request is not answered, if it is not. `proven`: it has a key, which no foreign page
// knows; otherwise the name by which the server was called must be one of this machine's, for a
// page's own name may have been made to lead here (DNS rebinding).
std::optional<std::string> origin_fault(const HttpHeaders& request, bool proven);

}  // namespace potluck
