#include "protocol/listen_address.h"

#include <algorithm>
#include <array>
#include <optional>

#include <arpa/inet.h>
#include <fmt/format.h>

#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr std::string_view kBlanks = " \t\r\n\v\f";
constexpr size_t kQuoted = 80;  // characters of what was typed in an error

bool is_ipv4(const std::string& text) {
  in_addr address;
  return inet_pton(AF_INET, text.c_str(), &address) == 1;
}

// Without brackets and scope.
bool is_ipv6(const std::string& text) {
  in6_addr address;
  return inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

bool is_unspecified(const std::string& text) {
  constexpr in6_addr kAny = IN6ADDR_ANY_INIT;
  in6_addr address;
  return inet_pton(AF_INET6, text.c_str(), &address) == 1 &&
         std::equal(std::begin(address.s6_addr), std::end(address.s6_addr),
                    std::begin(kAny.s6_addr));
}

// Names of hosts and of network interfaces.
bool is_name(std::string_view text) {
  constexpr size_t kHostBytes = 253;
  auto fits = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_';
  };
  return !text.empty() && text.size() <= kHostBytes && text.front() != '-' &&
         std::all_of(text.begin(), text.end(), fits);
}

// "[ADDRESS]" or "[ADDRESS%SCOPE]".
bool is_bracketed(const std::string& host) {
  if (host.size() < 4 || host.front() != '[' || host.back() != ']') return false;
  std::string inner = host.substr(1, host.size() - 2);
  size_t percent = inner.find('%');
  if (percent == std::string::npos) return is_ipv6(inner);
  return is_ipv6(inner.substr(0, percent)) && is_name(inner.substr(percent + 1));
}

// Numbers and dots look like an address; the system would read "127.1", "010.0.0.1" or "0x7f000001"
// as one that was hardly meant.
bool looks_numeric(std::string_view host) {
  while (true) {
    size_t dot = std::min(host.find('.'), host.size());
    std::string_view label = host.substr(0, dot);
    bool number = label.find_first_not_of("0123456789") == std::string_view::npos;
    if (!number && !label.starts_with("0x") && !label.starts_with("0X")) return false;
    if (dot == host.size()) return true;
    host.remove_prefix(dot + 1);
  }
}

std::optional<uint16_t> parse_port(std::string_view text) {
  constexpr size_t kDigits = 5;
  if (text.empty() || text.size() > kDigits) return std::nullopt;
  if (text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  uint32_t port = 0;
  for (char c : text) port = port * 10 + static_cast<uint32_t>(c - '0');
  if (port > UINT16_MAX) return std::nullopt;
  return static_cast<uint16_t>(port);
}

Error bad_address(std::string_view text, const std::string& hint = "") {
  return {ErrorCode::kInvalidArgument,
          fmt::format("expected HOST:PORT, such as 192.168.1.10:7700, [fe80::1%eth0]:7700, "
                      "eth0:7700 or *:7700, found '{}'{}",
                      clean_text(text, kQuoted), hint)};
}

// What a stranger on the network most likely reaches comes first. Networks that only exist inside
// this machine (containers, virtual machines) come behind those with cables and radio.
int rank(const LocalAddress& address) {
  if (address.loopback) return 6;
  if (address.link_local) return address.ipv6 ? 5 : 4;
  if (is_inside(address)) return 3;
  if (address.primary) return address.ipv6 ? 1 : 0;
  return 2;
}

// The addresses that `wanted` is true for, best first.
template <class Wanted>
std::vector<LocalAddress> ranked(const MachineNames& machine, const Wanted& wanted) {
  std::vector<LocalAddress> found;
  std::copy_if(machine.addresses.begin(), machine.addresses.end(), std::back_inserter(found),
               wanted);
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(rank(a), a.ipv6) < std::pair(rank(b), b.ipv6);
  });
  return found;
}

// One device has several addresses in one IPv6 network, and any of them leads to it.
bool same_network(const LocalAddress& a, const LocalAddress& b) {
  if (!a.ipv6 || !b.ipv6 || a.interface != b.interface) return false;
  in6_addr left;
  in6_addr right;
  constexpr size_t kNetworkBytes = 8;
  return inet_pton(AF_INET6, a.address.c_str(), &left) == 1 &&
         inet_pton(AF_INET6, b.address.c_str(), &right) == 1 &&
         std::equal(left.s6_addr, left.s6_addr + kNetworkBytes, right.s6_addr);
}

// Of the addresses, best first, those that are worth telling other devices.
std::vector<LocalAddress> useful_to_others(const std::vector<LocalAddress>& ranked) {
  std::vector<LocalAddress> useful;
  for (const LocalAddress& address : ranked) {
    // A link-local address is written differently on each device.
    bool told = !address.loopback && !(address.ipv6 && address.link_local);
    bool same = std::any_of(useful.begin(), useful.end(), [&](const LocalAddress& other) {
      return same_network(address, other);
    });
    if (told && !same) useful.push_back(address);
  }
  // Containers reach this machine by its other addresses, too.
  bool all_inside = std::all_of(useful.begin(), useful.end(), is_inside);
  if (!all_inside) std::erase_if(useful, is_inside);
  return useful;
}

// A socket on "[::]" takes IPv4 as well (ListenSocket sees to it); "0.0.0.0" is for machines
// without IPv6, where "[::]" cannot be bound.
ListenPlace all_interfaces(const MachineNames& machine, bool ipv4_only) {
  auto found = ranked(machine, [=](const LocalAddress& a) { return !ipv4_only || !a.ipv6; });
  bool ipv6 = std::any_of(found.begin(), found.end(), [](const auto& a) { return a.ipv6; });
  ListenPlace place{ipv6 ? "[::]" : "0.0.0.0", {}, true};
  for (const LocalAddress& address : useful_to_others(found)) {
    place.reachable.push_back(endpoint_host(address.address));
  }
  place.loopback_only = place.reachable.empty();
  if (place.reachable.empty()) place.reachable.emplace_back("127.0.0.1");
  return place;
}

ListenPlace one_address(const std::string& host, bool loopback) {
  return {host, {host}, false, loopback};
}

std::string offers(const MachineNames& machine) {
  std::string text;
  for (const LocalAddress& address : ranked(machine, [](const auto&) { return true; })) {
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", address.address, address.interface);
  }
  return text.empty() ? "none" : text;
}

Result<ListenPlace> find_by_name(const std::string& name, const MachineNames& machine) {
  // An interface is meant before a host: its name comes from this machine, while a name server may
  // have an answer for any word.
  auto named = ranked(machine, [&](const LocalAddress& a) { return a.interface == name; });
  if (!named.empty()) {
    return one_address(endpoint_host(named.front().address), named.front().loopback);
  }
  std::vector<std::string> addresses = machine.look_up(name);
  auto own = ranked(machine, [&](const LocalAddress& a) {
    return std::find(addresses.begin(), addresses.end(), a.address) != addresses.end();
  });
  if (!own.empty()) return one_address(endpoint_host(own.front().address), own.front().loopback);
  // All of 127.0.0.0/8 is this machine, regardless of what its interfaces list.
  for (const std::string& address : addresses) {
    if (address.starts_with("127.")) return one_address(address, true);
  }
  std::string what = addresses.empty()
                         ? "is neither a network interface nor a host name that is known here"
                         : fmt::format("is {}, which is no address of this machine", addresses[0]);
  return Error{ErrorCode::kInvalidArgument, fmt::format("'{}' {}; this machine's addresses are {}",
                                                        name, what, offers(machine))};
}

}  // namespace

Result<ListenAddress> parse_listen_address(std::string_view text) {
  size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return bad_address(text);
  std::string_view typed = text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
  // The last colon: an IPv6 address has many.
  size_t colon = typed.rfind(':');
  if (colon == std::string_view::npos) return bad_address(text, ": the port is missing");
  std::string host(typed.substr(0, colon));
  std::optional<uint16_t> port = parse_port(typed.substr(colon + 1));
  if (host.starts_with('[') && !is_bracketed(host)) {
    return bad_address(text, ": that is no IPv6 address");
  }
  bool bracketed = host.starts_with('[');
  if (host.find(':') != std::string::npos && !bracketed) {
    return bad_address(text, ": an IPv6 address stands in brackets, as in [::1]:7700");
  }
  if (!port) return bad_address(text, ": the port is a number from 0 to 65535");
  if (host != "*" && !bracketed && !is_name(host)) return bad_address(text);
  if (!bracketed && looks_numeric(host) && !is_ipv4(host)) {
    return bad_address(text, ": that is no IPv4 address");
  }
  return ListenAddress{std::move(host), *port};
}

Result<AdvertisedHost> parse_advertised_host(std::string_view text) {
  // A port is what stands behind the last colon, unless that belongs to an IPv6 address.
  size_t colon = text.rfind(':');
  bool has_port = colon != std::string_view::npos && !text.ends_with(']');
  AdvertisedHost advertised;
  advertised.host = text.substr(0, has_port ? colon : text.size());
  if (has_port) advertised.port = parse_port(text.substr(colon + 1)).value_or(0);
  // Both ports behind it are used, too.
  bool port_fits = !has_port || (advertised.port > 0 && advertised.port <= UINT16_MAX - 2);
  bool numeric = looks_numeric(advertised.host);
  if (port_fits && is_endpoint_host(advertised.host) && (!numeric || is_ipv4(advertised.host))) {
    return advertised;
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("expected HOST or HOST:PORT, such as pool.example.org, "
                           "203.0.113.7:7700 or [2001:db8::7], found '{}'",
                           clean_text(text, kQuoted))};
}

MachineNames this_machine() {
  return {local_addresses(), look_up_host};
}

Result<ListenPlace> find_listen_place(const std::string& host, const MachineNames& machine) {
  if (host == "*") return all_interfaces(machine, false);
  if (host == "0.0.0.0") return all_interfaces(machine, true);
  if (is_ipv4(host)) return one_address(host, host.starts_with("127."));
  if (!is_bracketed(host)) return find_by_name(host, machine);
  std::string inner = host.substr(1, host.size() - 2);
  if (is_unspecified(inner)) return all_interfaces(machine, false);
  return one_address(host, inner == "::1");
}

std::string endpoint_host(const std::string& address) {
  bool bare = address.find(':') != std::string::npos && address.front() != '[';
  return bare ? "[" + address + "]" : address;
}

}  // namespace potluck
