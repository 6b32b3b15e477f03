// HostSwitch: carries frames between hosts, each behind a link of its own. Pure: frames and time
// in, frames out when they are due; the loop around it owns devices and clock. One thread.
#pragma once

#include <map>
#include <random>
#include <vector>

#include "tools/link_shaper/frame.h"
#include "tools/link_shaper/link.h"

namespace potluck::link_shaper {

enum class LinkState {
  kUp,
  kDown,   // all is lost without a word, as behind a pulled cable or out of a radio's reach
  kReset,  // likewise, but TCP is told: every segment is answered with a reset
};

struct LinkCounts {
  uint64_t sent = 0;  // frames from the host that were carried on
  uint64_t received = 0;
  uint64_t received_bytes = 0;  // on the wire
  uint64_t lost = 0;            // by chance, or because a link was down
  uint64_t dropped = 0;         // queue full, or for no host
};

class HostSwitch {
 public:
  HostSwitch(std::vector<Link> links, uint64_t seed);

  size_t hosts() const { return ports_.size(); }
  const Link& link(size_t host) const { return ports_[host].link; }
  // Holds for frames that come from now on.
  void set_link(size_t host, const Link& link) { ports_[host].link = link; }
  LinkState state(size_t host) const { return ports_[host].state; }
  // What is on its way from or to the host is lost, unless its link comes up; with kReset, both
  // ends of all its connections are reset.
  void set_state(size_t host, LinkState state, TimePoint now);
  const LinkCounts& counts(size_t host) const { return ports_[host].counts; }

  // A frame that a host has sent.
  void take(size_t from, Frame frame, TimePoint now);

  struct Delivery {
    size_t to;
    Frame frame;
  };
  std::optional<TimePoint> next_due() const;
  // The next frame that is due; nothing if none is.
  std::optional<Delivery> next(TimePoint now);

 private:
  struct Port {
    Link link;
    LinkState state = LinkState::kUp;
    uint64_t life = 0;  // counts how often what was on its way was lost
    TimePoint free_up{0};
    TimePoint free_down{0};  // when all before has been carried
    LinkCounts counts;
  };
  struct Carried {
    TimePoint due;
    uint64_t number;
    size_t from;
    size_t to;
    uint64_t from_life;
    uint64_t to_life;
    Frame frame;
  };
  struct Later {
    bool operator()(const Carried& a, const Carried& b) const {
      return a.due != b.due ? a.due > b.due : a.number > b.number;
    }
  };
  // The last segment from one end of a connection, as much of it as a reset needs.
  struct LastSegment {
    size_t from;
    size_t to;
    Frame headers;
  };

  bool lost(double share) { return share > 0 && chance_(random_) < share; }
  void carry(size_t from, size_t to, Frame frame, TimePoint at);
  void send_through(size_t from, size_t to, Frame frame, TimePoint begin, TimePoint at);
  bool refused(size_t from, size_t to, const Frame& frame, TimePoint now);
  void remember(size_t from, size_t to, const Frame& frame);
  void reset_connections(size_t host, TimePoint now);
  void deliver_reset(size_t to, std::span<const uint8_t> to_segment, TimePoint now);

  std::vector<Port> ports_;
  std::vector<Carried> carried_;     // a heap: what is due first is in front
  std::vector<TimePoint> last_due_;  // from each host to each other one
  std::map<ConnectionEnd, LastSegment> last_segments_;
  std::mt19937_64 random_;
  std::uniform_real_distribution<double> chance_{0, 1};
  uint64_t next_number_ = 0;
  size_t carried_bytes_ = 0;
};

}  // namespace potluck::link_shaper
