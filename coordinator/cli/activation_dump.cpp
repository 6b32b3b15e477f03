#include "coordinator/cli/activation_dump.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "coordinator/cli/json_text.h"
#include "engine/base/hash.h"

namespace potluck {
namespace {

constexpr size_t kPendingBytes = 64 * kKiB;
// Of SHA-256: enough to tell two runs apart, short enough to read.
constexpr size_t kHashDigits = 16;

const char* point_name(ResidualPoint point) {
  switch (point) {
    case ResidualPoint::kEmbedding:
      return "embedding";
    case ResidualPoint::kMixer:
      return "mixer";
    case ResidualPoint::kLayer:
      break;
  }
  return "layer";
}

}  // namespace

Result<std::unique_ptr<ActivationDump>> ActivationDump::open(Storage& storage,
                                                             const std::string& path) {
  auto file = storage.open_writable(path, WriteMode::kBuffered);
  if (!file) return file.error();
  // Opening keeps what the file holds: a longer run of before would go on behind this one.
  if (Status emptied = (*file)->resize(0); !emptied) return emptied.error().in(path);
  return std::unique_ptr<ActivationDump>(new ActivationDump(std::move(file).value(), path));
}

void ActivationDump::on_residual(uint32_t layer, ResidualPoint point, uint32_t position,
                                 std::span<const float> residual) {
  auto [lowest, highest] = std::ranges::minmax(residual);
  double sum = 0;
  for (float value : residual) sum += value;
  std::string hash = sha256(std::as_bytes(residual)).hex().substr(0, kHashDigits);
  pending_ += json_text({{"layer", layer},
                         {"point", point_name(point)},
                         {"position", position},
                         {"hash", hash},
                         {"min", lowest},
                         {"max", highest},
                         {"mean", sum / static_cast<double>(residual.size())}});
  pending_ += '\n';
  if (pending_.size() >= kPendingBytes) flush();
}

void ActivationDump::flush() {
  if (status_) status_ = file_->write_at(written_, std::as_bytes(std::span(pending_)));
  written_ += pending_.size();
  pending_.clear();
}

Status ActivationDump::finish() {
  flush();
  if (!status_) return status_.error().in(path_);
  return {};
}

}  // namespace potluck
