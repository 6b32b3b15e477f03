#include "coordinator/cli/qr_code.h"

#include <memory>

#include <qrencode.h>

namespace potluck {

std::vector<std::string> qr_code(const std::string& text) {
  constexpr int kAnyVersion = 0;
  const std::unique_ptr<QRcode, decltype(&QRcode_free)> code(
      QRcode_encodeString8bit(text.c_str(), kAnyVersion, QR_ECLEVEL_L), &QRcode_free);
  if (!code) return {};
  std::vector<std::string> rows;
  const auto width = static_cast<size_t>(code->width);
  for (size_t y = 0; y < width; ++y) {
    std::string row;
    for (size_t x = 0; x < width; ++x) {
      row += (code->data[y * width + x] & 1) != 0 ? '1' : '0';
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace potluck
