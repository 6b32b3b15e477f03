// link_shaper: one switch between network namespaces, with a link of its own for each: delay,
// jitter, rate up and down, loss, a bounded queue; links go down and come up while it runs. For
// kernels without netem, and for root. Each namespace gets a TAP device eth0, so that everything
// passes: IPv4 and IPv6, broadcast and multicast. The kernel's own TCP is used, and programs need
// no change. `scripts/hosts` makes the namespaces and gives addresses.
//
//   link_shaper [offload=0] [seed=N] [control=PATH] NAMESPACE[,KEY=VALUE...]...
//
// The keys of a link are in link.h, what the control socket understands in commands.h. Prints
// "ready" once frames are carried; ends with SIGTERM, or when standard input does.
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/link_shaper/commands.h"
#include "tools/link_shaper/control_socket.h"
#include "tools/link_shaper/tap_device.h"

namespace potluck::link_shaper {
namespace {

volatile std::sig_atomic_t stopped = 0;

struct Settings {
  bool offload = true;
  uint64_t seed = 1;
  std::string control;
  std::vector<std::string> names;
  std::vector<Link> links;
};

Result<Settings> parse(std::span<char*> arguments) {
  Settings settings;
  for (std::string_view argument : arguments) {
    if (argument == "offload=0" || argument == "offload=1") {
      settings.offload = argument.ends_with('1');
    } else if (argument.starts_with("seed=")) {
      settings.seed = std::strtoull(argument.data() + 5, nullptr, 10);
    } else if (argument.starts_with("control=")) {
      settings.control = argument.substr(8);
    } else {
      auto host = parse_host(argument);
      if (!host) return host.error();
      settings.names.push_back(std::move(host->first));
      settings.links.push_back(host->second);
    }
  }
  if (settings.names.size() >= 2 && settings.names.size() <= kMostHosts) return settings;
  return Error{ErrorCode::kInvalidArgument,
               "usage: link_shaper [offload=0] [seed=N] [control=PATH] "
               "NAMESPACE[,KEY=VALUE...]... (2 to 250)"};
}

class Shaper {
 public:
  Shaper(const Settings& settings, std::vector<TapDevice> devices,
         std::optional<ControlSocket> control)
      : names_(settings.names),
        hosts_(settings.links, settings.seed),
        devices_(std::move(devices)),
        control_(std::move(control)) {}
  void run();

 private:
  bool wait(std::vector<pollfd>* polled) const;
  void take_frames(size_t from);
  void deliver();

  SystemClock clock_;
  std::vector<std::string> names_;
  HostSwitch hosts_;
  std::vector<TapDevice> devices_;
  std::optional<ControlSocket> control_;
  std::array<uint8_t, kLongestFrame> buffer_;
};

// Devices first, then the control socket and standard input.
bool Shaper::wait(std::vector<pollfd>* polled) const {
  constexpr Duration kLongest = std::chrono::hours(1);
  Duration left = kLongest;
  if (auto due = hosts_.next_due()) left = std::max(Duration{0}, *due - clock_.now());
  timespec timeout = {left.count() / 1'000'000'000, left.count() % 1'000'000'000};
  return ppoll(polled->data(), polled->size(), &timeout, nullptr) > 0;
}

void Shaper::run() {
  std::vector<pollfd> polled;
  for (const TapDevice& device : devices_) polled.push_back({device.descriptor(), POLLIN, 0});
  polled.push_back({control_ ? control_->descriptor() : -1, POLLIN, 0});
  polled.push_back({STDIN_FILENO, POLLIN, 0});
  while (stopped == 0) {
    bool any = wait(&polled);
    for (size_t i = 0; any && i < devices_.size(); ++i) {
      if ((polled[i].revents & POLLIN) != 0) take_frames(i);
    }
    deliver();
    if (any && (polled[devices_.size()].revents & POLLIN) != 0) {
      control_->serve([this](std::string_view command) {
        return execute(command, names_, &hosts_, clock_.now());
      });
    }
    char ignored = 0;
    if (any && polled.back().revents != 0 && read(STDIN_FILENO, &ignored, 1) <= 0) return;
  }
}

void Shaper::take_frames(size_t from) {
  constexpr int kAtOnce = 64;  // then the others have their turn
  for (int i = 0; i < kAtOnce; ++i) {
    std::span<const uint8_t> frame = devices_[from].read(buffer_);
    if (frame.empty()) return;
    hosts_.take(from, Frame(frame.begin(), frame.end()), clock_.now());
  }
}

void Shaper::deliver() {
  while (auto delivery = hosts_.next(clock_.now())) {
    devices_[delivery->to].write(delivery->frame);
  }
}

Status shape(std::span<char*> arguments) {
  auto settings = parse(arguments);
  if (!settings) return settings.error();
  std::vector<TapDevice> devices;
  for (size_t i = 0; i < settings->names.size(); ++i) {
    auto device = TapDevice::open(settings->names[i], i, settings->offload);
    if (!device) return device.error();
    devices.push_back(std::move(*device));
  }
  std::optional<ControlSocket> control;
  if (!settings->control.empty()) {
    auto opened = ControlSocket::open(settings->control);
    if (!opened) return opened.error();
    control.emplace(std::move(*opened));
  }
  // What it is late with looks like a slower network: it goes before the hosts' programs.
  constexpr int kUrgent = -15;
  (void)setpriority(PRIO_PROCESS, 0, kUrgent);
  (void)prctl(PR_SET_TIMERSLACK, 1);
  std::puts("ready");
  std::fflush(stdout);
  Shaper(*settings, std::move(devices), std::move(control)).run();
  return {};
}

}  // namespace
}  // namespace potluck::link_shaper

int main(int argc, char** argv) {
  auto stop = [](int) { potluck::link_shaper::stopped = 1; };
  std::signal(SIGTERM, stop);
  std::signal(SIGINT, SIG_IGN);  // Ctrl-C is for whoever started it, and then ends it
  potluck::Status done = potluck::link_shaper::shape(std::span(argv, argv + argc).subspan(1));
  if (done) return 0;
  std::fprintf(stderr, "link_shaper: %s\n", done.error().message.c_str());
  return 1;
}
