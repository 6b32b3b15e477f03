// What can be said to a running link shaper: one line, one answer. Plain functions.
//
//   link HOST KEY=VALUE...   changes a link; what is not named stays
//   down HOST, up HOST       all is lost from and to this host, or comes through again
//   reset HOST               likewise lost, and every connection is reset, until "up"
//   status                   one line for each host: name, state, settings, counts
//
// The answer is "ok", or the status, or "error: ..." that says what was expected.
#pragma once

#include "tools/link_shaper/host_switch.h"

namespace potluck::link_shaper {

std::string execute(std::string_view line, const std::vector<std::string>& names, HostSwitch* hosts,
                    TimePoint now);

// "NAME" or "NAME,KEY=VALUE,...", as on the command line.
Result<std::pair<std::string, Link>> parse_host(std::string_view text);

}  // namespace potluck::link_shaper
