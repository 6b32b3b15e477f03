// SHA-256 (FIPS 180-4) through OpenSSL, which uses the SHA instructions of processors that have
// them.
#include "engine/base/hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "engine/base/check.h"

namespace potluck {
namespace {

EVP_MD_CTX* as_context(void* context) {
  return static_cast<EVP_MD_CTX*>(context);
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Sha256Stream::Sha256Stream() : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr);
  CHECK(EVP_DigestInit_ex(as_context(context_), EVP_sha256(), nullptr) == 1);
}

Sha256Stream::~Sha256Stream() {
  EVP_MD_CTX_free(as_context(context_));
}

void Sha256Stream::update(ByteSpan bytes) {
  CHECK(EVP_DigestUpdate(as_context(context_), bytes.data(), bytes.size()) == 1);
}

Digest Sha256Stream::finish() {
  Digest digest;
  CHECK(EVP_DigestFinal_ex(as_context(context_), digest.bytes.data(), nullptr) == 1);
  return digest;
}

Digest sha256(ByteSpan bytes) {
  Sha256Stream stream;
  stream.update(bytes);
  return stream.finish();
}

std::string Digest::hex() const {
  std::string text;
  text.reserve(64);
  for (uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::string Digest::brief() const {
  return hex().substr(0, 8);
}

Result<Digest> parse_digest(std::string_view hex) {
  Digest digest;
  // The length is exact, so signs, blanks and "0x", which strtoul() would take, are refused with
  // the rest.
  if (hex.size() != 2 * digest.bytes.size()) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("a digest has 64 hexadecimal digits, found {}", hex.size())};
  }
  for (size_t i = 0; i < digest.bytes.size(); ++i) {
    int high = hex_value(hex[2 * i]);
    int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) {
      return Error{ErrorCode::kInvalidArgument, "a digest holds a non-hexadecimal digit"};
    }
    digest.bytes[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return digest;
}

}  // namespace potluck
