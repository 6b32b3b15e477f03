#include "protocol/address_group.h"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace potluck {

AddressGroup AddressGroup::of(const sockaddr_storage& address) {
  constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  AddressGroup group;
  if (address.ss_family == AF_INET) {
    sockaddr_in ipv4;
    std::memcpy(&ipv4, &address, sizeof ipv4);
    std::memcpy(group.bytes.data(), &ipv4.sin_addr, sizeof ipv4.sin_addr);
  } else if (address.ss_family == AF_INET6) {
    sockaddr_in6 ipv6;
    std::memcpy(&ipv6, &address, sizeof ipv6);
    const uint8_t* bytes = ipv6.sin6_addr.s6_addr;
    bool mapped = std::equal(kMapped.begin(), kMapped.end(), bytes);
    std::copy_n(mapped ? bytes + kMapped.size() : bytes, mapped ? 4 : 8, group.bytes.begin());
  }
  return group;
}

AddressGroup AddressGroup::of(const std::string& address) {
  sockaddr_storage storage{};
  in_addr ipv4;
  in6_addr ipv6;
  if (inet_pton(AF_INET, address.c_str(), &ipv4) == 1) {
    sockaddr_in full{};
    full.sin_family = AF_INET;
    full.sin_addr = ipv4;
    std::memcpy(&storage, &full, sizeof full);
  } else if (inet_pton(AF_INET6, address.substr(0, address.find('%')).c_str(), &ipv6) == 1) {
    sockaddr_in6 full{};
    full.sin6_family = AF_INET6;
    full.sin6_addr = ipv6;
    std::memcpy(&storage, &full, sizeof full);
  }
  return of(storage);
}

}  // namespace potluck
