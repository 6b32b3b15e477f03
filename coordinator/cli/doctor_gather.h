// Gathers what `potluck doctor` looks at, through seams: small files of the system, storage, and
// probes. Nothing fails: what cannot be read is unknown. Plain functions; one thread.
#pragma once

#include "coordinator/cli/doctor_facts.h"
#include "coordinator/cli/doctor_probes.h"
#include "engine/base/random.h"
#include "engine/base/storage.h"

namespace potluck {

// --- facts of files below /proc, /sys and /etc ---------------------------------------------------

FirewallFact firewall_of(const SystemFiles& files);
// The word in brackets: "always", "madvise" or "never"; empty if unknown.
std::string huge_pages_of(const SystemFiles& files);
// The soft limit of a line of /proc/self/limits, such as "Max locked memory"; UINT64_MAX:
// unlimited.
std::optional<uint64_t> own_limit(const SystemFiles& files, const std::string& name);
std::string processor_name(const SystemFiles& files);
// Without what only a probe can say.
std::vector<WirelessFact> wireless_of(const SystemFiles& files);
// File system, device, and where on its disk it begins. `directory` in full, without links.
DiskFact mount_of(const SystemFiles& files, const std::string& directory);

// --- the disk ------------------------------------------------------------------------------------

// Measures reading as a worker does it: on the largest file of its store, or else on one that is
// written for that and gone again before it is read. `directory` exists.
void measure_disk(const std::string& directory, Storage& storage, const Clock& clock,
                  Entropy& entropy, DiskFact* disk);

}  // namespace potluck
