#include "protocol/listen_address.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "protocol/listen_socket.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

ListenAddress parsed(std::string_view text) {
  auto address = parse_listen_address(text);
  EXPECT_TRUE(address.ok()) << text << ": " << (address ? "" : address.error().message);
  return address ? *address : ListenAddress{};
}

TEST(ListenAddresses, AllFormsThatPeopleWrite) {
  EXPECT_EQ(parsed("192.168.1.10:7700"), (ListenAddress{"192.168.1.10", 7700}));
  EXPECT_EQ(parsed("localhost:7712"), (ListenAddress{"localhost", 7712}));
  EXPECT_EQ(parsed("*:0"), (ListenAddress{"*", 0}));
  EXPECT_EQ(parsed("0.0.0.0:65535"), (ListenAddress{"0.0.0.0", 65535}));
  EXPECT_EQ(parsed("[::]:7700"), (ListenAddress{"[::]", 7700}));
  EXPECT_EQ(parsed("[2001:db8::1]:7700"), (ListenAddress{"[2001:db8::1]", 7700}));
  EXPECT_EQ(parsed("[fe80::1%eth0]:7700"), (ListenAddress{"[fe80::1%eth0]", 7700}));
  EXPECT_EQ(parsed("[fe80::1%br-12ab_3]:1"), (ListenAddress{"[fe80::1%br-12ab_3]", 1}));
  EXPECT_EQ(parsed("eth0.100:7700"), (ListenAddress{"eth0.100", 7700}));
  EXPECT_EQ(parsed("my-box.local:7700"), (ListenAddress{"my-box.local", 7700}));
  EXPECT_EQ(parsed(" 127.0.0.1:7700\r\n"), (ListenAddress{"127.0.0.1", 7700}));
}

TEST(ListenAddresses, EverythingElseIsAnErrorThatSaysWhatIsExpected) {
  for (std::string_view text : {"",
                                " ",
                                ":",
                                ":7700",
                                "7700",
                                "192.168.1.10",
                                "host:",
                                "host:x",
                                "host:-1",
                                "host:+1",
                                "host: 1",
                                "host:1.5",
                                "host:0x10",
                                "host:65536",
                                "host:99999999999999999999",
                                "host:07700",
                                "host:00",
                                "::1:7700",
                                "fe80::1%eth0:7700",
                                "[]:1",
                                "[::1:7700",
                                "::1]:7700",
                                "[1.2.3.4]:1",
                                "[fe80::1%]:1",
                                "[fe80::1%a b]:1",
                                "[::1]7700",
                                "[::1]:",
                                "127.1:1",
                                "1:1",
                                "127.0.0.256:1",
                                "010.0.0.1:1",
                                "0x7f.0.0.1:1",
                                "1.2.3.4.5:1",
                                "a b:1",
                                "a/b:1",
                                "-x:1",
                                "tcp://127.0.0.1:7700",
                                "host:1:2",
                                "**:1",
                                "h\xc3\xb6st:1",
                                "a\x1b[31mb:1",
                                "host:7700;x"}) {
    auto address = parse_listen_address(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(address.error().message.find("HOST:PORT"), std::string::npos);
    EXPECT_EQ(address.error().message.find('\x1b'), std::string::npos);
  }
  EXPECT_FALSE(parse_listen_address(std::string(300, 'a') + ":1").ok());
  EXPECT_FALSE(parse_listen_address(std::string_view("a\0b:1", 5)).ok());
}

// A machine with a cable, radio, containers and both kinds of addresses.
MachineNames sample_machine() {
  auto address = [](const char* interface, const char* text, bool primary = false) {
    LocalAddress local;
    local.interface = interface;
    local.address = text;
    local.ipv6 = local.address.find(':') != std::string::npos;
    local.loopback = local.interface == "lo";
    local.link_local = local.address.starts_with("fe80") || local.address.starts_with("169.254");
    local.primary = primary;
    return local;
  };
  return {{address("lo", "127.0.0.1"), address("docker0", "172.17.0.1"),
           address("eth0", "10.0.0.5"), address("wlan0", "192.168.1.7", true), address("lo", "::1"),
           address("eth0", "fe80::5%eth0"), address("wlan0", "2001:db8::7", true)},
          [](const std::string& name) -> std::vector<std::string> {
            if (name == "localhost") return {"::1", "127.0.0.1"};
            if (name == "debian") return {"127.0.1.1"};
            if (name == "my-box.local") return {"203.0.113.1", "10.0.0.5"};
            if (name == "elsewhere.example") return {"203.0.113.1"};
            return {};
          }};
}

ListenPlace place(const std::string& host) {
  auto found = find_listen_place(host, sample_machine());
  EXPECT_TRUE(found.ok()) << host << ": " << (found ? "" : found.error().message);
  return found ? *found : ListenPlace{};
}

TEST(ListenPlaces, AllInterfacesAreReachedByTheMostLikelyAddressFirst) {
  std::vector<std::string> all = {"192.168.1.7", "[2001:db8::7]", "10.0.0.5"};
  for (const char* host : {"*", "[::]", "[0:0:0:0:0:0:0:0]"}) {
    EXPECT_EQ(place(host).bind_host, "[::]");
    EXPECT_EQ(place(host).reachable, all);
    EXPECT_TRUE(place(host).all_interfaces);
    EXPECT_FALSE(place(host).loopback_only);
  }
  EXPECT_EQ(place("0.0.0.0").bind_host, "0.0.0.0");
  EXPECT_EQ(place("0.0.0.0").reachable, (std::vector<std::string>{"192.168.1.7", "10.0.0.5"}));
}

TEST(ListenPlaces, OnlyWhatHelpsOtherDevicesIsTold) {
  MachineNames containers = sample_machine();
  containers.addresses = {containers.addresses[0], containers.addresses[1]};
  EXPECT_EQ(find_listen_place("*", containers)->reachable, std::vector<std::string>{"172.17.0.1"});
  // A stable and a temporary address of the same network lead to the same machine.
  MachineNames private_addresses = sample_machine();
  LocalAddress temporary = private_addresses.addresses.back();
  temporary.address = "2001:db8::abcd:7";
  temporary.primary = false;
  private_addresses.addresses.push_back(temporary);
  EXPECT_EQ(find_listen_place("*", private_addresses)->reachable, place("*").reachable);
  private_addresses.addresses.back().address = "2001:db8:0:1::7";
  EXPECT_EQ(find_listen_place("*", private_addresses)->reachable.size(), 4u);
}

TEST(AdvertisedHosts, AHostWithOrWithoutAPort) {
  using Host = AdvertisedHost;
  EXPECT_EQ(*parse_advertised_host("pool.example.org"), (Host{"pool.example.org", 0}));
  EXPECT_EQ(*parse_advertised_host("203.0.113.7:17700"), (Host{"203.0.113.7", 17700}));
  EXPECT_EQ(*parse_advertised_host("[2001:db8::7]"), (Host{"[2001:db8::7]", 0}));
  EXPECT_EQ(*parse_advertised_host("[2001:db8::7]:1"), (Host{"[2001:db8::7]", 1}));
  for (const char* text : {"", ":1", "a:", "a:0", "a:65534", "a:b", "2001:db8::7", "a b", "a/b",
                           "*", "1.2.3", "tcp://a:1", "[::1", "a:-1"}) {
    EXPECT_FALSE(parse_advertised_host(text).ok()) << text;
  }
}

TEST(ListenPlaces, AMachineWithoutANetworkIsReachedByItselfOnly) {
  MachineNames alone = sample_machine();
  alone.addresses.resize(1);
  auto found = find_listen_place("*", alone);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->bind_host, "0.0.0.0");
  EXPECT_EQ(found->reachable, std::vector<std::string>{"127.0.0.1"});
  EXPECT_TRUE(found->loopback_only);
}

TEST(ListenPlaces, NamesAndInterfacesBecomeAddressesOfThisMachine) {
  EXPECT_EQ(place("localhost").bind_host, "127.0.0.1");
  EXPECT_TRUE(place("localhost").loopback_only);
  EXPECT_EQ(place("debian").bind_host, "127.0.1.1") << "as Debian writes it into /etc/hosts";
  EXPECT_EQ(place("my-box.local").bind_host, "10.0.0.5") << "the address that is here";
  EXPECT_EQ(place("eth0").bind_host, "10.0.0.5");
  EXPECT_EQ(place("wlan0").reachable, std::vector<std::string>{"192.168.1.7"});
  EXPECT_EQ(place("10.0.0.9").bind_host, "10.0.0.9") << "the system says whether it is there";
  EXPECT_EQ(place("[fe80::5%eth0]").bind_host, "[fe80::5%eth0]");
}

TEST(ListenPlaces, WhatIsNotHereIsNamedWithWhatIs) {
  for (const char* host : {"elsewhere.example", "no.such.name", "eth7"}) {
    auto found = find_listen_place(host, sample_machine());
    ASSERT_FALSE(found.ok()) << host;
    EXPECT_NE(found.error().message.find(host), std::string::npos);
    EXPECT_NE(found.error().message.find("192.168.1.7 (wlan0)"), std::string::npos)
        << found.error().message;
  }
}

// Any input gives an error, or a place whose hosts fit into an endpoint.
TEST(ListenPlaces, AnythingTypedIsAnErrorOrFitsIntoAnInvitation) {
  constexpr std::string_view kPieces[] = {
      "127.0.0.1", "[",    "]", "::", "1",        "%",     "eth0", "localhost", ":",
      "7700",      "*",    ".", "-",  " ",        "fe80",  "0",    "65536",     "my-box.local",
      "\n",        "\xff", "/", "_",  "10.0.0.5", "[::1]", ":0"};
  CounterRandom random(7);
  uint64_t drawn = 0;
  int good = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    for (uint64_t n = random.bits(drawn++) % 6; n > 0; --n) {
      text += kPieces[random.bits(drawn++) % std::size(kPieces)];
    }
    auto address = parse_listen_address(text);
    if (!address) continue;
    EXPECT_EQ(parsed(address->host + ":" + std::to_string(address->port)), *address);
    auto found = find_listen_place(address->host, sample_machine());
    if (!found) continue;
    ++good;
    ASSERT_FALSE(found->reachable.empty());
    EXPECT_TRUE(is_endpoint_host(found->bind_host)) << text;
    for (const std::string& host : found->reachable) {
      EXPECT_TRUE(check_endpoint("tcp://" + host + ":7700").ok()) << text << ": " << host;
    }
  }
  EXPECT_GT(good, 300);
}

TEST(ListenPlaces, ThisMachineCanListenOnAllItsAddresses) {
  MachineNames machine = this_machine();
  ASSERT_FALSE(machine.addresses.empty());
  std::vector<std::string> hosts = {"*", "0.0.0.0", "127.0.0.1", "localhost", "lo"};
  for (const LocalAddress& address : machine.addresses) {
    hosts.push_back(endpoint_host(address.address));
  }
  for (const std::string& host : hosts) {
    auto found = find_listen_place(host, machine);
    ASSERT_TRUE(found.ok()) << host << ": " << found.error().message;
    auto socket = ListenSocket::open(found->bind_host, 0);
    ASSERT_TRUE(socket.ok()) << host << ": " << socket.error().message;
    EXPECT_GT(socket->port(), 0);
    auto again = ListenSocket::open(found->bind_host, socket->port());
    ASSERT_FALSE(again.ok()) << host;
    EXPECT_NE(again.error().message.find("taken by another program"), std::string::npos);
  }
}

}  // namespace
}  // namespace potluck
