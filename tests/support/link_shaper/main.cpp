// link_shaper: a wire with a rate, a delay, loss and cuts between network namespaces, for kernels
// without netem. Every namespace gets a TUN device eth0 with the address 10.88.0.K; one loop
// carries the packets between them. The kernel's own TCP is used, and programs need no change. For
// root.
//
//   link_shaper KEY=VALUE... NAMESPACE...     prints "ready", ends with SIGTERM
//     delay_ms   one way                      rate      bytes per second, each way of each host
//     loss       of packets, 0 to 1           cut_every, cut_for   seconds; a cut resets
//     connections
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <queue>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/link_shaper/packet.h"

namespace potluck::link_shaper {
namespace {

constexpr int kMtu = 1500;
volatile std::sig_atomic_t stopped = 0;

double now_seconds() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "link_shaper: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

// A TUN device in a namespace, with its address, up.
int open_device(const std::string& name_space, size_t host) {
  int inside = open(("/run/netns/" + name_space).c_str(), O_RDONLY | O_CLOEXEC);
  if (inside < 0 || setns(inside, CLONE_NEWNET) != 0) fail("namespace " + name_space);
  close(inside);
  int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0) fail("/dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strcpy(request.ifr_name, "eth0");
  if (ioctl(device, TUNSETIFF, &request) != 0) fail("eth0 in " + name_space);
  std::string setup = "ip link set lo up && ip addr add 10.88.0." + std::to_string(host) +
                      "/24 dev eth0 && ip link set eth0 mtu " + std::to_string(kMtu) + " up";
  if (std::system(setup.c_str()) != 0) fail("addresses in " + name_space);
  return device;
}

class Shaper {
 public:
  Shaper(const std::map<std::string, double>& settings, const std::vector<std::string>& hosts);
  void run();

 private:
  struct Carried {
    double due;
    uint64_t number;
    size_t to;
    Packet packet;
    bool operator>(const Carried& other) const {
      return std::tie(due, number) > std::tie(other.due, other.number);
    }
  };

  void take_packets(size_t from);
  void take(size_t from, Packet packet);
  void deliver();
  void watch_cuts();
  int milliseconds_to_wait() const;
  // One end of a connection: its addresses and ports.
  static std::array<uint8_t, 12> connection(const Packet& packet);

  double delay_, rate_, loss_, cut_every_, cut_for_;
  double next_cut_, cut_until_ = 0;
  std::vector<int> devices_;     // of host i + 1
  std::vector<double> free_up_;  // when a host's way out, or in, has carried all before
  std::vector<double> free_down_;
  std::priority_queue<Carried, std::vector<Carried>, std::greater<>> carried_;
  std::map<std::array<uint8_t, 12>, std::pair<size_t, Packet>> last_;  // packets by connection end
  std::mt19937_64 random_{1};
  uint64_t forwarded_ = 0, lost_ = 0, dropped_ = 0, cuts_ = 0;
};

Shaper::Shaper(const std::map<std::string, double>& settings, const std::vector<std::string>& hosts)
    : delay_(settings.at("delay_ms") / 1000),
      rate_(settings.at("rate")),
      loss_(settings.at("loss")),
      cut_every_(settings.at("cut_every")),
      cut_for_(settings.at("cut_for")),
      next_cut_(now_seconds() + cut_every_),
      free_up_(hosts.size()),
      free_down_(hosts.size()) {
  int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  for (size_t i = 0; i < hosts.size(); ++i) devices_.push_back(open_device(hosts[i], i + 1));
  if (setns(home, CLONE_NEWNET) != 0) fail("the first namespace");
  close(home);
}

std::array<uint8_t, 12> Shaper::connection(const Packet& packet) {
  std::array<uint8_t, 12> name{};
  size_t header = size_t{packet[0] & 0x0fu} * 4;
  std::copy_n(packet.begin() + 12, 8, name.begin());
  if (packet.size() >= header + 4) std::copy_n(packet.begin() + header, 4, name.begin() + 8);
  return name;
}

void Shaper::take_packets(size_t from) {
  for (int burst = 0; burst < 64; ++burst) {
    Packet packet(65536);
    ssize_t size = read(devices_[from], packet.data(), packet.size());
    if (size <= 0) return;
    packet.resize(static_cast<size_t>(size));
    take(from, std::move(packet));
  }
}

// Serialized on the sender's way out, then on the receiver's way in; what finds a queue of a fifth
// of a second is dropped, as by a router.
void Shaper::take(size_t from, Packet packet) {
  auto host = destination_host(packet);
  if (!host || *host < 1 || *host > devices_.size()) return;
  size_t to = *host - 1u;
  double now = now_seconds();
  if (now < cut_until_) {
    if (auto reset = reset_for(packet)) (void)!write(devices_[from], reset->data(), reset->size());
    return;
  }
  if (reset_for(packet)) last_[connection(packet)] = {from, packet};
  if (std::uniform_real_distribution<double>(0, 1)(random_) < loss_) {
    ++lost_;
    return;
  }
  double at = now;
  double carrying = static_cast<double>(packet.size()) / rate_;
  double longest = std::max(0.2, 65536 / rate_);
  for (double* free_at : {&free_up_[from], &free_down_[to]}) {
    if (*free_at - at > longest) {
      ++dropped_;
      return;
    }
    *free_at = std::max(*free_at + carrying, at + (free_at == &free_up_[from] ? carrying : 0));
    at = *free_at;
  }
  carried_.push({at + delay_, forwarded_++, to, std::move(packet)});
}

void Shaper::deliver() {
  while (!carried_.empty() && carried_.top().due <= now_seconds()) {
    const Carried& next = carried_.top();
    (void)!write(devices_[next.to], next.packet.data(), next.packet.size());
    carried_.pop();
  }
}

// A cut loses what is on its way and resets all connections at both ends; as long as it lasts,
// every segment is answered with a reset.
void Shaper::watch_cuts() {
  if (cut_every_ <= 0 || now_seconds() < next_cut_) return;
  ++cuts_;
  next_cut_ += cut_every_;
  cut_until_ = now_seconds() + cut_for_;
  carried_ = {};
  for (const auto& [name, last] : last_) {
    auto reset = reset_for(last.second);
    if (reset) (void)!write(devices_[last.first], reset->data(), reset->size());
  }
  last_.clear();
}

int Shaper::milliseconds_to_wait() const {
  double next = now_seconds() + 0.1;
  if (!carried_.empty()) next = std::min(next, carried_.top().due);
  return static_cast<int>(std::max(0.0, (next - now_seconds()) * 1000));
}

void Shaper::run() {
  std::puts("ready");
  std::fflush(stdout);
  while (stopped == 0) {
    std::vector<pollfd> polled;
    for (int device : devices_) polled.push_back({device, POLLIN, 0});
    poll(polled.data(), polled.size(), milliseconds_to_wait());
    for (size_t i = 0; i < polled.size(); ++i) {
      if ((polled[i].revents & POLLIN) != 0) take_packets(i);
    }
    watch_cuts();
    deliver();
  }
  std::printf("carried %lu, lost %lu, dropped %lu, cuts %lu\n", forwarded_, lost_, dropped_, cuts_);
}

int shape(int argc, char** argv) {
  std::map<std::string, double> settings = {
      {"delay_ms", 0}, {"rate", 1e9}, {"loss", 0}, {"cut_every", 0}, {"cut_for", 1}};
  std::vector<std::string> hosts;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    size_t equals = argument.find('=');
    if (equals == std::string::npos) {
      hosts.push_back(argument);
    } else if (auto known = settings.find(argument.substr(0, equals)); known != settings.end()) {
      known->second = std::atof(argument.c_str() + equals + 1);
    } else {
      std::fprintf(stderr, "link_shaper: unknown setting %s\n", argument.c_str());
      return 2;
    }
  }
  if (hosts.size() < 2 || hosts.size() > 250 || settings["rate"] <= 0) {
    std::fprintf(stderr, "usage: link_shaper [KEY=VALUE...] NAMESPACE NAMESPACE...\n");
    return 2;
  }
  std::signal(SIGTERM, [](int) { stopped = 1; });
  std::signal(SIGINT, [](int) { stopped = 1; });
  Shaper(settings, hosts).run();
  return 0;
}

}  // namespace
}  // namespace potluck::link_shaper

int main(int argc, char** argv) {
  return potluck::link_shaper::shape(argc, argv);
}
