#include "tools/link_shaper/host_switch.h"

#include <gtest/gtest.h>

#include "tools/link_shaper/commands.h"

namespace potluck::link_shaper {
namespace {

using std::chrono::milliseconds;

// A frame of so many bytes on the wire; TCP that can be reset.
Frame frame_for(std::optional<size_t> host, size_t bytes = 1000) {
  Frame frame(kOffloadBytes + bytes, 0);
  EthernetAddress address = host ? address_of_host(*host) : EthernetAddress{};
  if (!host) address.fill(0xff);
  std::copy(address.begin(), address.end(), frame.begin() + kOffloadBytes);
  uint8_t* ip = &frame[kOffloadBytes + 14];
  ip[-2] = 0x08;
  ip[0] = 0x45;
  ip[9] = 6;
  ip[20 + 13] = 0x10;
  return frame;
}

// All that comes out until then: when, and to whom.
std::vector<std::pair<TimePoint, size_t>> run(HostSwitch* hosts, TimePoint until) {
  std::vector<std::pair<TimePoint, size_t>> all;
  while (hosts->next_due() && *hosts->next_due() <= until) {
    TimePoint due = *hosts->next_due();
    if (auto delivery = hosts->next(due)) all.emplace_back(due, delivery->to);
  }
  return all;
}

using Came = std::vector<std::pair<TimePoint, size_t>>;

TEST(HostSwitch, AddsTheDelaysOfBothLinks) {
  Link near, far;
  near.delay = milliseconds(1);
  far.delay = milliseconds(10);
  HostSwitch hosts({near, near, far}, 1);
  hosts.take(0, frame_for(1), milliseconds(0));
  hosts.take(0, frame_for(2), milliseconds(0));
  EXPECT_EQ(hosts.next_due(), milliseconds(2));
  EXPECT_FALSE(hosts.next(milliseconds(1)).has_value());
  EXPECT_EQ(run(&hosts, milliseconds(100)), (Came{{milliseconds(2), 1}, {milliseconds(11), 2}}));
  EXPECT_FALSE(hosts.next_due().has_value());
}

TEST(HostSwitch, TheSlowerRateCounts) {
  Link fast, slow;
  fast.up = fast.down = 1e6;  // 1 ms for 1000 bytes
  slow.up = slow.down = 1e5;
  HostSwitch hosts({fast, fast, slow}, 1);
  for (int i = 0; i < 2; ++i) hosts.take(0, frame_for(1), milliseconds(0));
  EXPECT_EQ(run(&hosts, milliseconds(99)), (Came{{milliseconds(1), 1}, {milliseconds(2), 1}}));
  for (int i = 0; i < 2; ++i) hosts.take(0, frame_for(2), milliseconds(100));
  EXPECT_EQ(run(&hosts, milliseconds(199)), (Came{{milliseconds(110), 2}, {milliseconds(120), 2}}));
}

TEST(HostSwitch, SendersShareTheWayDown) {
  Link link;
  link.up = link.down = 1e6;
  HostSwitch hosts({link, link, link}, 1);
  hosts.take(0, frame_for(2), milliseconds(0));
  hosts.take(1, frame_for(2), milliseconds(0));
  EXPECT_EQ(run(&hosts, milliseconds(99)), (Came{{milliseconds(1), 2}, {milliseconds(2), 2}}));
}

TEST(HostSwitch, ALongQueueDrops) {
  Link link;
  link.up = 1e6;
  link.queue = milliseconds(100);  // 100 of these frames
  HostSwitch hosts({link, Link()}, 1);
  for (int i = 0; i < 1000; ++i) hosts.take(0, frame_for(1), milliseconds(0));
  EXPECT_EQ(run(&hosts, std::chrono::seconds(2)).size(), 101u);
  EXPECT_EQ(hosts.counts(0).dropped, 899u);
  EXPECT_EQ(hosts.counts(1).received, 101u);
  EXPECT_EQ(hosts.counts(1).received_bytes, 101'000u);
}

TEST(HostSwitch, JitterDelaysAndDoesNotReorder) {
  Link link;
  link.jitter = milliseconds(10);
  HostSwitch hosts({link, Link()}, 1);
  for (int i = 0; i < 100; ++i) hosts.take(0, frame_for(1, 100u + i), milliseconds(i));
  size_t expected = 100;
  TimePoint last{0};
  while (hosts.next_due()) {
    last = *hosts.next_due();
    auto delivery = hosts.next(last);
    EXPECT_EQ(wire_bytes(delivery->frame), expected++);
  }
  EXPECT_EQ(expected, 200u);
  EXPECT_GT(last, milliseconds(99));
  EXPECT_LE(last, milliseconds(110));
}

TEST(HostSwitch, LosesTheShareThatIsAskedFor) {
  Link link;
  link.loss = 0.1;
  HostSwitch hosts({link, link}, 7);
  for (int i = 0; i < 10'000; ++i) hosts.take(0, frame_for(1), milliseconds(i));
  size_t came = run(&hosts, std::chrono::hours(1)).size();
  EXPECT_NEAR(static_cast<double>(came), 8100, 200);  // on both links
  EXPECT_EQ(hosts.counts(0).lost + hosts.counts(1).lost + came, 10'000u);
}

TEST(HostSwitch, BroadcastsGoToAllOthers) {
  HostSwitch hosts(std::vector<Link>(4), 1);
  hosts.take(2, frame_for(std::nullopt), milliseconds(5));
  EXPECT_EQ(run(&hosts, milliseconds(5)),
            (Came{{milliseconds(5), 0}, {milliseconds(5), 1}, {milliseconds(5), 3}}));
}

TEST(HostSwitch, FramesForNobodyAreDropped) {
  HostSwitch hosts(std::vector<Link>(2), 1);
  hosts.take(0, frame_for(2), milliseconds(0));
  hosts.take(0, Frame(3), milliseconds(0));
  EXPECT_FALSE(hosts.next_due().has_value());
  EXPECT_EQ(hosts.counts(0).dropped, 2u);
}

TEST(HostSwitch, ALinkThatGoesDownLosesWhatIsOnItsWay) {
  Link link;
  link.delay = milliseconds(10);
  HostSwitch hosts({link, link, link}, 1);
  hosts.take(0, frame_for(1), milliseconds(0));
  hosts.take(0, frame_for(2), milliseconds(0));
  hosts.set_state(1, LinkState::kDown, milliseconds(5));
  hosts.take(0, frame_for(1), milliseconds(6));
  hosts.take(1, frame_for(0), milliseconds(6));
  EXPECT_EQ(run(&hosts, milliseconds(99)), (Came{{milliseconds(20), 2}}));
  hosts.set_state(1, LinkState::kUp, milliseconds(100));
  hosts.take(0, frame_for(1), milliseconds(100));
  EXPECT_EQ(run(&hosts, milliseconds(199)), (Came{{milliseconds(120), 1}}));
}

TEST(HostSwitch, AResetReachesBothEndsAndWhoeverSpeaksMeanwhile) {
  Link link;
  link.delay = milliseconds(10);
  HostSwitch hosts({link, link, link}, 1);
  Frame there = frame_for(1), back = frame_for(0), other = frame_for(2);
  back[kOffloadBytes + 14 + 12] = 9;   // another address than the other end's
  other[kOffloadBytes + 14 + 12] = 8;  // and another connection
  hosts.take(0, there, milliseconds(0));
  hosts.take(1, back, milliseconds(0));
  hosts.take(0, other, milliseconds(0));
  hosts.set_state(1, LinkState::kReset, milliseconds(5));
  Came both = run(&hosts, milliseconds(5));
  EXPECT_EQ(both.size(), 2u);
  EXPECT_EQ(std::set<size_t>({both[0].second, both[1].second}), (std::set<size_t>{0, 1}));
  hosts.take(2, frame_for(1), milliseconds(6));
  EXPECT_EQ(run(&hosts, milliseconds(6)), (Came{{milliseconds(6), 2}}));
  EXPECT_EQ(run(&hosts, milliseconds(99)), (Came{{milliseconds(20), 2}}));  // the other connection
}

TEST(HostSwitch, WhatIsOnItsWayIsBounded) {
  Link link;
  link.delay = std::chrono::seconds(60);
  HostSwitch hosts({link, link}, 1);
  for (int i = 0; i < 5000; ++i) hosts.take(0, frame_for(1, 65'000), milliseconds(0));
  EXPECT_GT(hosts.counts(0).dropped, 500u);
  EXPECT_LT(hosts.counts(0).sent * 65'000, 257u << 20);
}

TEST(LinkShaperCommands, ChangeLinks) {
  std::vector<std::string> names = {"a", "b"};
  HostSwitch hosts(std::vector<Link>(2), 1);
  EXPECT_EQ(execute("link b delay_ms=1.5 rate=1000\n", names, &hosts, {}), "ok");
  EXPECT_EQ(hosts.link(1).delay, std::chrono::microseconds(1500));
  EXPECT_EQ(hosts.link(1).up, 1000);
  EXPECT_EQ(hosts.link(1).down, 1000);
  EXPECT_EQ(hosts.link(0), Link());
  EXPECT_EQ(execute("down a", names, &hosts, {}), "ok");
  EXPECT_EQ(hosts.state(0), LinkState::kDown);
  EXPECT_TRUE(execute("status", names, &hosts, {}).starts_with("a down delay_ms=0 "));
  EXPECT_EQ(execute("up a", names, &hosts, {}), "ok");
  EXPECT_EQ(execute("reset a", names, &hosts, {}), "ok");
  EXPECT_EQ(hosts.state(0), LinkState::kReset);
}

TEST(LinkShaperCommands, RefuseWhatTheyDoNotKnowAndChangeNothing) {
  std::vector<std::string> names = {"a", "b"};
  HostSwitch hosts(std::vector<Link>(2), 1);
  for (const char* command :
       {"", "link", "link c loss=1", "down", "down c", "down a b", "sideways a", "status a",
        "link a loss", "link a loss=", "link a loss=2", "link a loss=-1", "link a loss=x",
        "link a loss=nan", "link a delay_ms=1 speed=3", "link a rate=1e99"}) {
    EXPECT_TRUE(execute(command, names, &hosts, {}).starts_with("error: expected") ||
                execute(command, names, &hosts, {}).find("expected") != std::string::npos)
        << command;
    EXPECT_EQ(hosts.link(0), Link()) << command;
    EXPECT_EQ(hosts.state(0), LinkState::kUp) << command;
  }
}

TEST(LinkShaperCommands, HostsOnTheCommandLine) {
  auto host = parse_host("potluck-1-worker1,delay_ms=2,loss=0.01");
  ASSERT_TRUE(host.ok());
  EXPECT_EQ(host->first, "potluck-1-worker1");
  EXPECT_EQ(host->second.delay, milliseconds(2));
  for (const char* text : {"", "loss=1", "../x", "a,loss", "a,size=3"}) {
    EXPECT_FALSE(parse_host(text).ok()) << text;
  }
}

}  // namespace
}  // namespace potluck::link_shaper
