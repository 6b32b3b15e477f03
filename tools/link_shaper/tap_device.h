// TapDevice: the network card of a host: a TAP device "eth0" in a network namespace. Frames go in
// and out as frame.h describes them. Ends with the object. One thread, which is in the namespace
// for a moment while it is opened.
#pragma once

#include <span>
#include <string>

#include "tools/link_shaper/frame.h"

#include "engine/base/result.h"

namespace potluck::link_shaper {

class TapDevice {
 public:
  // In /run/netns/NAMESPACE, down and without addresses, which are for whoever made the namespace.
  // `offload`: the kernel may hand over many segments of a connection as one frame, and leave sums
  // to be made: much cheaper, but losing one such frame loses all.
  static Result<TapDevice> open(const std::string& name_space, size_t host, bool offload);
  TapDevice(TapDevice&& other) noexcept;
  ~TapDevice();

  int descriptor() const { return descriptor_; }
  // The next frame that the host has sent, in `buffer`; empty if there is none.
  std::span<const uint8_t> read(std::span<uint8_t> buffer) const;
  // A frame for the host. What its kernel does not take is lost, as on any network.
  void write(std::span<const uint8_t> frame) const;

 private:
  explicit TapDevice(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace potluck::link_shaper
