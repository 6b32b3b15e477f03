// What a link is like, from a host to the switch and back, and how it is written down. Plain
// values.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "engine/base/result.h"

namespace potluck::link_shaper {

// A frame from one host to another takes the sender's way up and the receiver's way down: both
// delays are added, and the slower of the two rates counts.
struct Link {
  Duration delay{0};   // each way
  Duration jitter{0};  // up to so much is added; frames do not overtake each other
  double up = 0;       // bytes per second from the host; 0: without bound
  double down = 0;     // and to it
  double loss = 0;     // the share of frames, each way
  // What finds a longer queue is dropped, as by a router; 64 KiB always fit.
  Duration queue = std::chrono::milliseconds(200);

  bool operator==(const Link&) const = default;
};

// "KEY=VALUE" with delay_ms, jitter_ms, up, down, rate (both), loss or queue_ms. Errors name the
// setting, what is allowed and what was found.
Status set_link(std::string_view setting, Link* link);

}  // namespace potluck::link_shaper
