#include "coordinator/cli/doctor_advice.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "engine/base/bytes.h"
#include "engine/base/format_bytes.h"
#include "engine/base/storage_profile.h"

namespace potluck {
namespace {

using Findings = std::vector<Finding>;

constexpr int64_t kBuiltAfter = 1'704'067'200;  // 2024: a clock that says less was never set
constexpr int64_t kClockSlack = 60;             // seconds; certificates and logs bear that much
constexpr uint64_t kSmallMemory = kGiB;
constexpr uint64_t kSmallDisk = 4 * kGiB;
constexpr double kSlowDisk = 100e6;  // bytes per second: a hard disk, an old memory card
constexpr double kSlowTrip = 0.005;  // seconds: every layer waits for one
constexpr double kVerySlowTrip = 0.05;
constexpr double kLossOfNote = 0.01;
constexpr uint64_t kFewDescriptors = 4096;
constexpr int kWeakSignal = -70;
constexpr uint64_t kPage = 4096;

void ok(Findings* findings, const char* subject, std::string found) {
  findings->push_back({subject, FindingLevel::kOk, std::move(found), ""});
}
void advice(Findings* findings, const char* subject, std::string found, std::string what) {
  findings->push_back({subject, FindingLevel::kAdvice, std::move(found), std::move(what)});
}
void problem(Findings* findings, const char* subject, std::string found, std::string what) {
  findings->push_back({subject, FindingLevel::kProblem, std::move(found), std::move(what)});
}

void look_at_clock(const DoctorFacts& facts, Findings* findings) {
  constexpr const char* kSubject = "clock";
  const std::string keep = "let a time server set it, such as with systemd-timesyncd or chrony";
  if (facts.unix_seconds < kBuiltAfter) {
    return problem(findings, kSubject, "it says a time before 2024", keep);
  }
  if (facts.clock_ahead && std::abs(*facts.clock_ahead) > kClockSlack) {
    return problem(findings, kSubject,
                   fmt::format("{} s {} the coordinator's", std::abs(*facts.clock_ahead),
                               *facts.clock_ahead > 0 ? "ahead of" : "behind"),
                   keep + ", on both machines");
  }
  if (facts.clock_ahead) return ok(findings, kSubject, "in step with the coordinator's");
  if (!facts.clock_kept) return ok(findings, kSubject, "unknown whether a time server sets it");
  if (*facts.clock_kept) return ok(findings, kSubject, "kept by a time server");
  advice(findings, kSubject, "no time server sets it", keep);
}

void look_at_ports(const DoctorFacts& facts, Findings* findings) {
  for (const PortFact& port : facts.ports) {
    const std::string name =
        fmt::format("{} {} ({})", port.udp ? "UDP" : "TCP", port.port, port.use);
    if (!port.free) {
      ok(findings, "port", name + ": unknown");
    } else if (*port.free) {
      ok(findings, "port", name + ": free");
    } else if (facts.coordinator_runs) {
      ok(findings, "port", name + ": taken while `potluck serve` runs here");
    } else {
      problem(findings, "port", name + ": taken by another program",
              fmt::format("end that program, or choose another port: {}", port.flag));
    }
  }
}

std::string ports_to_open(const DoctorFacts& facts) {
  std::string tcp, udp;
  for (const PortFact& port : facts.ports) {
    if (port.port == 0 || port.flag.find("--port") != std::string::npos) continue;
    std::string& list = port.udp ? udp : tcp;
    list += (list.empty() ? "" : ", ") + std::to_string(port.port);
  }
  return fmt::format("TCP {} and UDP {}", tcp, udp);
}

void look_at_firewall(const DoctorFacts& facts, Findings* findings) {
  constexpr const char* kSubject = "firewall";
  const std::string open = ports_to_open(facts);
  const FirewallFact& firewall = facts.firewall;
  if (!firewall.manager.empty()) {
    return advice(findings, kSubject, firewall.manager + " is on; its rules cannot be seen",
                  fmt::format("if devices cannot join this coordinator, let {} in", open));
  }
  if (!firewall.loaded) return ok(findings, kSubject, "cannot be seen");
  if (!*firewall.loaded) return ok(findings, kSubject, "no filter is in use");
  advice(findings, kSubject, "a filter is in use; its rules cannot be seen",
         fmt::format("if devices cannot join this coordinator, let {} in", open));
}

void look_at_file_system(const DiskFact& disk, Findings* findings) {
  constexpr const char* kSubject = "file system";
  constexpr std::array<std::string_view, 6> kRemote = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph"};
  const std::string& type = disk.file_system;
  const std::string where = "choose a folder on an internal disk with --store";
  if (type.empty()) {
    ok(findings, kSubject, disk.directory + ": unknown");
  } else if (type.starts_with("fuse")) {
    advice(findings, kSubject,
           fmt::format("{} is on {}: each read goes through another program", disk.directory, type),
           where);
  } else if (std::find(kRemote.begin(), kRemote.end(), type) != kRemote.end()) {
    advice(findings, kSubject,
           fmt::format("{} is on {}: experts would be read over a network", disk.directory, type),
           where);
  } else if (type == "tmpfs" || type == "ramfs") {
    advice(findings, kSubject,
           fmt::format("{} is on {}: experts take memory twice", disk.directory, type), where);
  } else if (disk.alignment == 1) {
    advice(findings, kSubject,
           fmt::format("{} is on {}, which takes no direct reads (O_DIRECT): the page cache takes "
                       "memory from the cache of experts",
                       disk.directory, type),
           where);
  } else {
    ok(findings, kSubject,
       fmt::format("{} is on {}{}", disk.directory, type, disk.alignment ? ", direct reads" : ""));
  }
}

// Which kind of flash reads about as fast, where one does: nodes files and scenarios know it.
std::string like_flash(double bytes_per_second) {
  const StorageProfile* profile = storage_like(bytes_per_second);
  return profile == nullptr ? std::string() : fmt::format(", about like {}", profile->name);
}

void look_at_disk(const DiskFact& disk, Findings* findings) {
  constexpr const char* kSubject = "disk";
  look_at_file_system(disk, findings);
  if (disk.free_bytes && *disk.free_bytes < kSmallDisk) {
    advice(
        findings, kSubject, fmt::format("{} free", format_bytes(*disk.free_bytes)),
        "make room, or choose another folder with --store: the experts of most models take more");
  } else if (disk.free_bytes) {
    ok(findings, kSubject, fmt::format("{} free", format_bytes(*disk.free_bytes)));
  }
  if (disk.offset && *disk.offset % kPage != 0) {
    advice(findings, kSubject, "its partition does not begin at a multiple of 4 KiB",
           "each read touches one block more; partition it anew when there is an occasion");
  }
  if (!disk.bytes_per_second) {
    return ok(findings, kSubject,
              "speed unknown" + (disk.trouble.empty() ? "" : ": " + disk.trouble));
  }
  // Virtual disks say that they turn, however fast they are.
  const bool slow = *disk.bytes_per_second < kSlowDisk;
  const std::string rate = fmt::format(
      "reads {}/s{}", format_bytes(static_cast<uint64_t>(*disk.bytes_per_second)),
      slow && disk.rotates.value_or(false) ? ", a hard disk" : like_flash(*disk.bytes_per_second));
  if (!slow) return ok(findings, kSubject, rate);
  advice(findings, kSubject, rate + ", which is slow",
         "lend memory rather than disk here: --ram as large and --disk as small as this device "
         "bears");
}

void look_at_memory(const DoctorFacts& facts, Findings* findings) {
  const ProcessLimits& limits = facts.limits;
  constexpr const char* kSubject = "memory";
  if (limits.total.source.empty()) {
    ok(findings, kSubject, "unknown");
  } else {
    const std::string found = fmt::format(
        "{} may be used ({}), {} of it now ({})", format_bytes(limits.total.bytes),
        limits.total.source, format_bytes(limits.available.bytes), limits.available.source);
    if (limits.available.bytes >= kSmallMemory) {
      ok(findings, kSubject, found);
    } else {
      advice(findings, kSubject, found, "close other programs, or raise the limit that is named");
    }
  }
  if (!facts.lockable_bytes) {
    ok(findings, "locked memory", "unknown");
  } else if (*facts.lockable_bytes == UINT64_MAX) {
    ok(findings, "locked memory", "no limit");
  } else {
    ok(findings, "locked memory",
       format_bytes(*facts.lockable_bytes) + " at most; no more is needed");
  }
  if (facts.huge_pages == "never") {
    advice(findings, "huge pages", "never: reading from disk and products are slower",
           "as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
  } else {
    ok(findings, "huge pages", facts.huge_pages.empty() ? "unknown" : facts.huge_pages);
  }
}

void look_at_processor(const DoctorFacts& facts, Findings* findings) {
  constexpr const char* kSubject = "processor";
  std::string found = facts.processor.empty() ? "" : facts.processor + ": ";
  if (facts.limits.processors.count > 0) {
    found += fmt::format("{} may be used ({}), ", facts.limits.processors.count,
                         facts.limits.processors.source);
  }
  if (facts.kernels.empty()) return ok(findings, kSubject, found + "kernels unknown");
  found += "kernels: " + facts.kernels.back();
  if (facts.kernels.size() > 1) return ok(findings, kSubject, found);
  advice(findings, kSubject, found + ", which are slow",
         "this device serves best with its memory and disk: there are no kernels for its "
         "instruction set");
}

void look_at_descriptors(const DoctorFacts& facts, Findings* findings) {
  constexpr const char* kSubject = "open files";
  if (!facts.descriptors) return ok(findings, kSubject, "unknown");
  const std::string found = fmt::format("{} at most", *facts.descriptors);
  if (*facts.descriptors >= kFewDescriptors) return ok(findings, kSubject, found);
  advice(findings, kSubject, found,
         "enough for a small pool; for a large one raise the hard limit (ulimit -Hn 65536)");
}

void look_at_link(const LinkFact& link, Findings* findings) {
  constexpr const char* kSubject = "coordinator";
  if (link.place.empty()) {
    return ok(findings, kSubject, "none is known on this machine (--coordinator HOST:PORT)");
  }
  if (link.tried == 0) return ok(findings, kSubject, link.place + ": not asked");
  if (link.answered == 0) {
    return problem(findings, kSubject, fmt::format("{}: {}", link.place, link.trouble),
                   "look whether `potluck serve` runs there, at which port it listens and what its "
                   "firewall lets in");
  }
  const double sent = static_cast<double>(link.tried + link.resent);
  const double lost = static_cast<double>(link.tried - link.answered + link.resent) / sent;
  const std::string found =
      fmt::format("{}: round trip {:.2f} ms, at most {:.2f}, {:.0f} % of {} lost", link.place,
                  link.round_trip * 1e3, link.slowest * 1e3, 100 * lost, link.tried + link.resent);
  const std::string closer = "use a cable, or Wi-Fi of 5 GHz close to the access point";
  if (lost > kLossOfNote) return advice(findings, kSubject, found, closer);
  if (link.round_trip <= kSlowTrip) return ok(findings, kSubject, found);
  if (link.round_trip <= kVerySlowTrip) {
    return advice(findings, kSubject, found + ": every layer waits so long", closer);
  }
  advice(findings, kSubject, found + ": too far away to help with answers",
         "a device so far away is best left out");
}

void look_at_wireless(const DoctorFacts& facts, Findings* findings) {
  if (facts.wireless.empty()) return ok(findings, "Wi-Fi", "no wireless interface");
  for (const WirelessFact& wireless : facts.wireless) {
    std::string found = wireless.interface + ": ";
    if (!wireless.saves_power) {
      found += "power save unknown";
    } else {
      found += *wireless.saves_power ? "saves power" : "does not save power";
    }
    if (wireless.signal_dbm) found += fmt::format(", signal {} dBm", *wireless.signal_dbm);
    if (wireless.saves_power.value_or(false)) {
      advice(findings, "Wi-Fi", found + ": answers may wait 100 ms",
             fmt::format("iw dev {} set power_save off", wireless.interface));
    } else if (wireless.signal_dbm && *wireless.signal_dbm < kWeakSignal) {
      advice(findings, "Wi-Fi", found + ", which is weak", "move closer to the access point");
    } else {
      ok(findings, "Wi-Fi", found);
    }
  }
}

}  // namespace

const char* finding_level_name(FindingLevel level) {
  if (level == FindingLevel::kOk) return "ok";
  return level == FindingLevel::kAdvice ? "advice" : "problem";
}

std::vector<Finding> advise(const DoctorFacts& facts) {
  Findings findings;
  look_at_clock(facts, &findings);
  look_at_ports(facts, &findings);
  look_at_firewall(facts, &findings);
  look_at_disk(facts.disk, &findings);
  look_at_memory(facts, &findings);
  look_at_processor(facts, &findings);
  look_at_link(facts.link, &findings);
  look_at_wireless(facts, &findings);
  look_at_descriptors(facts, &findings);
  return findings;
}

FindingLevel worst_level(const std::vector<Finding>& findings) {
  FindingLevel worst = FindingLevel::kOk;
  for (const Finding& finding : findings) worst = std::max(worst, finding.level);
  return worst;
}

}  // namespace potluck
