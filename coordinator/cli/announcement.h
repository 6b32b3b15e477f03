// Announcement: how devices and other commands get to the pool of `serve`: opens the control socket
// and the dashboard to it, and says how to join. One thread.
#pragma once

#include <optional>
#include <string_view>

#include "coordinator/cli/commands.h"
#include "coordinator/runtime/runtime.h"
#include "coordinator/serving/http/api_server.h"
#include "protocol/control_socket.h"

namespace potluck {

// Typed on a line of its own, this is no prompt: it asks for an invitation.
inline constexpr std::string_view kInvite = "invite";

// One line, which a device runs to join.
void print_invitation(Pool& pool, Output& out);

class Announcement {
 public:
  // References must outlive the object; `server` may end before it, but not before once().
  Announcement(Runtime& runtime, const RuntimeOptions& options, ApiServer& server,
               uint32_t invitations, const Environment& environment);

  // The first call alone does anything.
  void once();

 private:
  using Control = decltype(ControlServer::start(std::string(), {}));

  Runtime& runtime_;
  const PoolOptions& pool_;
  ApiServer& server_;
  uint32_t invitations_;
  const Environment& environment_;
  std::optional<Control> control_;
};

}  // namespace potluck
