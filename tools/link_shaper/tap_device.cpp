#include "tools/link_shaper/tap_device.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace potluck::link_shaper {
namespace {

Error failure(const std::string& what) {
  return {ErrorCode::kIo, fmt::format("{}: {}", what, std::strerror(errno))};
}

// A device belongs to the namespace in which it was opened.
Status make_device(int descriptor, size_t host, bool offload) {
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  std::strcpy(request.ifr_name, "eth0");
  if (ioctl(descriptor, TUNSETIFF, &request) != 0) return failure("making eth0");
  unsigned left = offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0;
  if (ioctl(descriptor, TUNSETOFFLOAD, left) != 0) return failure("offload of eth0");
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  EthernetAddress address = address_of_host(host);
  std::copy(address.begin(), address.end(), request.ifr_hwaddr.sa_data);
  if (ioctl(descriptor, SIOCSIFHWADDR, &request) != 0) return failure("address of eth0");
  return {};
}

}  // namespace

Result<TapDevice> TapDevice::open(const std::string& name_space, size_t host, bool offload) {
  int home = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int inside = ::open(("/run/netns/" + name_space).c_str(), O_RDONLY | O_CLOEXEC);
  Status entered = inside >= 0 && setns(inside, CLONE_NEWNET) == 0
                       ? Status()
                       : Status(failure("entering the namespace"));
  if (inside >= 0) close(inside);
  TapDevice device(entered ? ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1);
  Status made = entered;
  if (entered && device.descriptor_ < 0) made = failure("/dev/net/tun");
  if (made) made = make_device(device.descriptor_, host, offload);
  bool back = home >= 0 && setns(home, CLONE_NEWNET) == 0;
  if (home >= 0) close(home);
  if (!made) return made.error().in(name_space);
  if (!back) return failure("leaving the namespace").in(name_space);
  return device;
}

TapDevice::TapDevice(TapDevice&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

TapDevice::~TapDevice() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::span<const uint8_t> TapDevice::read(std::span<uint8_t> buffer) const {
  ssize_t size = ::read(descriptor_, buffer.data(), buffer.size());
  return buffer.first(size < 0 ? 0 : static_cast<size_t>(size));
}

void TapDevice::write(std::span<const uint8_t> frame) const {
  (void)!::write(descriptor_, frame.data(), frame.size());
}

}  // namespace potluck::link_shaper
