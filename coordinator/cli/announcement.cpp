#include "coordinator/cli/announcement.h"

#include <fmt/format.h>

#include "coordinator/cli/pool_control.h"

namespace potluck {
namespace {

// What the reader has to know about the invitations that follow.
void explain_invitations(const Pool& pool, const ListenPlace& listen, uint32_t invitations,
                         Terminal& terminal) {
  const std::vector<PoolPlace> places = pool.places();
  std::string others;
  for (size_t i = 1; i < places.size(); ++i) {
    others += (others.empty() ? "" : ", ") + places[i].join;
  }
  terminal.notice(fmt::format("coordinator {} listens on {}{}{}", pool.key().brief(),
                              listen.all_interfaces ? "all interfaces; devices reach it at " : "",
                              places.front().join,
                              others.empty() ? "" : " (also at " + others + ")"));
  if (listen.loopback_only && places.size() == listen.reachable.size()) {
    terminal.notice(
        "only this machine can reach that address: with --listen HOST:PORT or --listen *:7700 "
        "other devices can join");
  }
  const char* where = listen.loopback_only ? "on this machine" : "on another device";
  if (invitations > 0) {
    terminal.notice(
        fmt::format("run this {}; each line works once, within a day (for another "
                    "one, type: {})",
                    where, kInvite));
  } else {
    terminal.notice(fmt::format("no device is invited yet; for an invitation, type: {}", kInvite));
  }
  if (pool.takes_strangers()) {
    terminal.notice(fmt::format(
        "or run `potluck join` {}, and admit it here by the code that it shows (--no-beacon turns "
        "this off)",
        listen.loopback_only ? "in another terminal" : "on a device of this network"));
  }
}

}  // namespace

void print_invitation(Pool& pool, Output& out) {
  out.line("potluck join " + pool.invite().token());
}

Announcement::Announcement(Runtime& runtime, const RuntimeOptions& options, ApiServer& server,
                           uint32_t invitations, const Environment& environment)
    : runtime_(runtime),
      pool_(options.pool_options),
      server_(server),
      invitations_(invitations),
      environment_(environment) {}

void Announcement::once() {
  if (control_) return;
  Terminal& terminal = environment_.terminal;
  if (server_.dashboard().enabled()) {
    server_.dashboard().open_pool(pool_control(*runtime_.pool()));
    terminal.notice("dashboard and chat in a browser: " + server_.page_url());
  }
  control_ = ControlServer::start(pool_.state_directory, pool_control(*runtime_.pool()));
  if (!*control_) {
    terminal.notice("other commands cannot talk to this one (potluck admit, keys revoke): " +
                    control_->error().message);
  }
  explain_invitations(*runtime_.pool(), pool_.listen, invitations_, terminal);
  for (uint32_t i = 0; i < invitations_; ++i) {
    print_invitation(*runtime_.pool(), environment_.out);
  }
}

}  // namespace potluck
