// Arbitrary bytes as an HTTP request: a request, a refusal with a reason, or the wish for more; and
// the same no matter in which pieces the bytes come. The first byte is the size of the pieces.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "coordinator/serving/http/request_reader.h"
#include "engine/base/check.h"

namespace potluck {
namespace {

constexpr uint32_t kHeadBytes = 512;
constexpr uint64_t kBodyBytes = 256;

struct Outcome {
  RequestReader reader{kHeadBytes, kBodyBytes};
  size_t used = 0;
};

Outcome read_in_pieces(std::string_view bytes, size_t piece) {
  Outcome outcome;
  std::string waiting;
  while (!bytes.empty() && !outcome.reader.done() && !outcome.reader.refusal()) {
    waiting += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
    const size_t taken = outcome.reader.take(waiting);
    CHECK(taken <= waiting.size());
    waiting.erase(0, taken);
    outcome.used += taken;
  }
  return outcome;
}

void check(Outcome& whole, Outcome& pieces) {
  CHECK(whole.reader.done() == pieces.reader.done());
  CHECK(whole.reader.refusal().has_value() == pieces.reader.refusal().has_value());
  if (whole.reader.refusal()) {
    CHECK(whole.reader.refusal()->status >= 400 && !whole.reader.refusal()->message.empty());
    return;
  }
  if (!whole.reader.done()) return;
  CHECK(whole.used == pieces.used);
  CHECK(whole.reader.keep_alive() == pieces.reader.keep_alive());
  const HttpRequest a = whole.reader.request();
  const HttpRequest b = pieces.reader.request();
  CHECK(a.method == b.method && a.path == b.path && a.query == b.query);
  CHECK(a.headers == b.headers && a.body == b.body);
  CHECK(a.body.size() <= kBodyBytes);
}

}  // namespace
}  // namespace potluck

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  potluck::Outcome whole = potluck::read_in_pieces(bytes, std::max<size_t>(bytes.size(), 1));
  potluck::Outcome pieces = potluck::read_in_pieces(bytes, 1 + data[0] % 64);
  potluck::check(whole, pieces);
  return 0;
}
