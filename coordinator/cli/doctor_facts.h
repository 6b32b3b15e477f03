// What `potluck doctor` looks at: facts about this machine, each of which may be unknown. Plain
// values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/process_limits.h"

namespace potluck {

struct PortFact {
  std::string use;   // "the HTTP API"
  std::string flag;  // that chooses another one
  uint16_t port = 0;
  bool udp = false;
  std::optional<bool> free;
};

// Filters of the kernel. Their rules are root's to see.
struct FirewallFact {
  std::optional<bool> loaded;  // any filter has rules or hooks
  std::string manager;         // "ufw" or "firewalld", where one is switched on; else empty
};

struct DiskFact {
  std::string directory;    // that was looked at
  std::string file_system;  // "ext4"; empty: unknown
  std::string device;       // "8:1"
  std::optional<uint64_t> free_bytes;
  std::optional<double> bytes_per_second;  // of reading, as a worker reads
  std::string trouble;                     // why there is no rate
  std::optional<uint64_t> alignment;       // of reads past the page cache; 1: there are none such
  std::optional<bool> rotates;
  std::optional<uint64_t> offset;  // of the partition from the start of the disk, in bytes
};

// Connections to the coordinator, one after the other.
struct LinkFact {
  std::string place;  // HOST:PORT; empty: no coordinator is known
  uint32_t tried = 0;
  uint32_t answered = 0;
  double round_trip = 0;  // seconds, the median
  double slowest = 0;
  uint32_t resent = 0;  // packets that the system sent again
  std::string trouble;  // of the last one that failed
};

struct WirelessFact {
  std::string interface;
  std::optional<bool> saves_power;
  std::optional<int> signal_dbm;
};

struct DoctorFacts {
  int64_t unix_seconds = 0;
  std::optional<bool> clock_kept;      // by a time server, as the kernel has it
  std::optional<int64_t> clock_ahead;  // seconds before the coordinator's clock
  bool coordinator_runs = false;       // on this machine: it has the ports
  std::vector<PortFact> ports;
  FirewallFact firewall;
  DiskFact disk;
  ProcessLimits limits;
  std::optional<uint64_t> lockable_bytes;  // UINT64_MAX: without limit
  std::string huge_pages;                  // "always", "madvise" or "never"; empty: unknown
  std::string processor;                   // its name, or empty
  std::vector<std::string> kernels;        // that can run; the last is the fastest
  std::optional<uint64_t> descriptors;
  LinkFact link;
  std::vector<WirelessFact> wireless;
};

}  // namespace potluck
