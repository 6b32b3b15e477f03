#include "coordinator/cli/doctor_gather.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "engine/base/disk_probe.h"
#include "engine/base/format_bytes.h"

namespace potluck {
namespace {

constexpr uint64_t kSector = 512;  // /sys counts in these whatever the disk does
constexpr uint64_t kSpareBytes = kGiB;
constexpr const char* kSampleName = "/doctor-sample.tmp";

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  for (size_t begin = line.find_first_not_of(" \t"); begin != std::string::npos;) {
    const size_t end = std::min(line.find_first_of(" \t", begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    begin = line.find_first_not_of(" \t", end);
  }
  return words;
}

std::optional<uint64_t> whole_of(const std::string& text) {
  uint64_t value = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

std::optional<uint64_t> whole_in(const SystemFiles& files, const std::string& path) {
  const auto text = files.read(path);
  return text ? whole_of(*text) : std::nullopt;
}

// Blanks stand as \040 in mount points.
std::string without_escapes(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto is_octal = [&](size_t at) {
      return at < text.size() && text[at] >= '0' && text[at] <= '7';
    };
    if (text[i] == '\\' && is_octal(i + 1) && is_octal(i + 2) && is_octal(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool lies_in(const std::string& path, const std::string& mount) {
  if (mount == "/") return path.starts_with('/');
  return path == mount || path.starts_with(mount + "/");
}

// A partition's /sys folder lies inside of that of its disk.
void describe_device(const SystemFiles& files, DiskFact* disk) {
  const std::string folder = "/sys/dev/block/" + disk->device;
  if (auto start = whole_in(files, folder + "/start")) disk->offset = *start * kSector;
  for (const char* queue : {"/queue/rotational", "/../queue/rotational"}) {
    const auto rotates = whole_in(files, folder + queue);
    if (rotates) disk->rotates = *rotates != 0;
  }
}

// The largest file of a store, if it tells anything.
std::unique_ptr<ReadableFile> stored_sample(const std::string& directory, Storage& storage) {
  std::unique_ptr<ReadableFile> largest;
  auto names = storage.list(directory + "/segments");
  for (size_t i = 0; names && i < names->size(); ++i) {
    auto file = storage.open(directory + "/segments/" + (*names)[i], ReadMode::kDirect);
    if (!file || (*file)->size() < kProbeFileBytes) continue;
    if (largest == nullptr || (*file)->size() > largest->size()) largest = std::move(*file);
  }
  return largest;
}

// What a file system packs or shares would be read too fast.
Status write_sample(WritableFile& file, Entropy& entropy) {
  constexpr uint64_t kPiece = 4 * kMiB;
  std::vector<uint64_t> words(kPiece / sizeof(uint64_t));
  uint64_t state = entropy.next64() | 1;
  for (uint64_t at = 0; at < kProbeFileBytes; at += kPiece) {
    for (uint64_t& word : words) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      word = state;
    }
    Status written = file.write_at(at, std::as_bytes(std::span(words)));
    if (!written) return written;
  }
  return file.sync();
}

// Its name is gone once it is open, so that nothing stays if the program ends.
Result<std::unique_ptr<ReadableFile>> written_sample(const std::string& directory, Storage& storage,
                                                     Entropy& entropy) {
  const std::string path = directory + kSampleName;
  Status written;
  {
    auto file = storage.open_writable(path, WriteMode::kDirect);
    if (!file) return file.error();
    written = write_sample(**file, entropy);
  }
  auto sample = storage.open(path, ReadMode::kDirect);
  (void)storage.remove(path);
  if (!written) return written.error();
  return sample;
}

}  // namespace

FirewallFact firewall_of(const SystemFiles& files) {
  FirewallFact firewall;
  const auto ufw = files.read("/etc/ufw/ufw.conf");
  if (ufw && ufw->find("\nENABLED=yes") != std::string::npos) firewall.manager = "ufw";
  if (files.read("/run/firewalld.pid")) firewall.manager = "firewalld";
  for (const char* names : {"/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"}) {
    const auto tables = files.read(names);
    if (tables && !tables->empty()) firewall.loaded = true;
  }
  const auto modules = files.read("/proc/modules");
  if (firewall.loaded || !modules || modules->empty()) return firewall;
  // With a use count above 0, there are rules that need them.
  firewall.loaded = false;
  for (const std::string& line : lines_of(*modules)) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() < 3) continue;
    const bool filters =
        words[0] == "nf_tables" || words[0] == "iptable_filter" || words[0] == "ip6table_filter";
    if (filters && whole_of(words[2]).value_or(0) > 0) firewall.loaded = true;
  }
  return firewall;
}

std::string huge_pages_of(const SystemFiles& files) {
  const auto text = files.read("/sys/kernel/mm/transparent_hugepage/enabled");
  if (!text) return "";
  const size_t begin = text->find('[');
  const size_t end = text->find(']');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return "";
  return text->substr(begin + 1, end - begin - 1);
}

std::optional<uint64_t> own_limit(const SystemFiles& files, const std::string& name) {
  const auto text = files.read("/proc/self/limits");
  if (!text) return std::nullopt;
  for (const std::string& line : lines_of(*text)) {
    if (!line.starts_with(name + " ")) continue;
    const std::vector<std::string> words = words_of(line.substr(name.size()));
    if (words.empty()) return std::nullopt;
    return words[0] == "unlimited" ? UINT64_MAX : whole_of(words[0]);
  }
  return std::nullopt;
}

std::string processor_name(const SystemFiles& files) {
  const auto text = files.read("/proc/cpuinfo");
  if (!text) return "";
  for (const std::string& line : lines_of(*text)) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

std::vector<WirelessFact> wireless_of(const SystemFiles& files) {
  std::vector<WirelessFact> found;
  const std::string signals = files.read("/proc/net/wireless").value_or("");
  for (const std::string& name : files.list("/sys/class/net")) {
    if (!files.read("/sys/class/net/" + name + "/phy80211/name")) continue;
    WirelessFact wireless;
    wireless.interface = name;
    for (const std::string& line : lines_of(signals)) {
      const std::vector<std::string> words = words_of(line);
      if (words.size() < 4 || words[0] != name + ":" || !words[3].starts_with('-')) continue;
      const auto level = whole_of(words[3].substr(1));
      if (level && *level < 200) wireless.signal_dbm = -static_cast<int>(*level);
    }
    found.push_back(std::move(wireless));
  }
  return found;
}

DiskFact mount_of(const SystemFiles& files, const std::string& directory) {
  DiskFact disk;
  disk.directory = directory;
  size_t longest = 0;
  for (const std::string& line : lines_of(files.read("/proc/self/mountinfo").value_or(""))) {
    const std::vector<std::string> words = words_of(line);
    const auto bar = std::find(words.begin(), words.end(), "-");
    if (words.size() < 5 || words.end() - bar < 2) continue;
    const std::string mount = without_escapes(words[4]);
    // What is mounted later lies over what is mounted at the same place.
    if (!lies_in(directory, mount) || mount.size() < longest) continue;
    longest = mount.size();
    disk.device = words[2];
    disk.file_system = *(bar + 1);
  }
  if (!disk.device.empty()) describe_device(files, &disk);
  return disk;
}

void measure_disk(const std::string& directory, Storage& storage, const Clock& clock,
                  Entropy& entropy, DiskFact* disk) {
  if (auto free = storage.free_bytes(directory)) disk->free_bytes = *free;
  std::unique_ptr<ReadableFile> sample = stored_sample(directory, storage);
  if (sample == nullptr) {
    if (disk->free_bytes && *disk->free_bytes < kSpareBytes) {
      disk->trouble = "there is too little room to measure it";
      return;
    }
    auto written = written_sample(directory, storage, entropy);
    if (!written) {
      disk->trouble = written.error().message;
      return;
    }
    sample = std::move(*written);
  }
  disk->alignment = sample->direct_alignment();
  auto make_reader = [&clock](uint32_t depth) {
    return open_block_reader(ReaderChoice::kAuto, depth, clock);
  };
  auto probe = probe_disk(*sample, make_reader, clock);
  if (probe) {
    disk->bytes_per_second = probe->best_bytes_per_second();
  } else {
    disk->trouble = probe.error().message;
  }
}

}  // namespace potluck
