// AddressGroup: from where a stranger came, as far as strangers are told apart by it: an IPv4
// address, or the first half of an IPv6 address, of which one device has as many as it likes. Plain
// value; any thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

#include <sys/socket.h>

namespace potluck {

struct AddressGroup {
  std::array<uint8_t, 8> bytes{};

  auto operator<=>(const AddressGroup&) const = default;
  static AddressGroup of(const sockaddr_storage& address);
  // Of a numeric address, as address_text() writes it; zeros for any other text.
  static AddressGroup of(const std::string& address);
};

}  // namespace potluck
