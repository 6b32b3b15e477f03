#include "coordinator/cli/api_flags.h"

#include "coordinator/cli/directories.h"
#include "coordinator/cli/flags.h"
#include "coordinator/serving/http/api_key_watch.h"

namespace potluck {
namespace {

constexpr uint32_t kLargestPort = 65535;
constexpr uint32_t kLongestDrain = 24 * 3600;

}  // namespace

std::string own_key_file() {
  return home_directory() + "/coordinator/api-keys";
}

void add_api_flags(CLI::App* parser, ApiFlags* flags) {
  add_text(parser, "--host", &flags->host,
           "where the HTTP API listens: an address or a host name; 0.0.0.0 for all interfaces "
           "(default 127.0.0.1)")
      .envname("POTLUCK_HOST");
  add_whole(parser, "--port", &flags->port, {0, kLargestPort},
            "port of the HTTP API; 0: any that is free (default 8080)")
      .envname("POTLUCK_PORT");
  add_text(parser, "--api-key-file", &flags->key_file,
           "a file of keys, one of which a request then needs: SHA-256 and name on each line "
           "(default: those of 'potluck keys'; without any, everyone may ask)")
      .envname("POTLUCK_API_KEY_FILE");
  add_text(parser, "--tls-cert", &flags->tls_certificate,
           "answer by https: a PEM file with the server's certificate and those that signed it")
      .envname("POTLUCK_TLS_CERT");
  add_text(parser, "--tls-key", &flags->tls_key, "the PEM file with the certificate's key")
      .envname("POTLUCK_TLS_KEY");
  add_text(parser, "--cors-origin", &flags->cors_origins,
           "a web page that may use the API, such as https://chat.example.org, or * for all; may "
           "be repeated (default: pages of this machine)");
  add_switch(parser, "--no-dashboard", &flags->no_dashboard,
             "no pages for browsers, and nothing at /api/pool: the APIs alone");
  add_whole(parser, "--drain-timeout", &flags->drain_seconds, {0, kLongestDrain},
            "seconds that requests under way have when serve ends (default 10)")
      .envname("POTLUCK_DRAIN_TIMEOUT");
}

Status check_api_flags(const ApiFlags& flags, Storage& storage, const Clock& clock) {
  const ApiServerOptions options = api_options(flags);
  auto keys = ApiKeyWatch::open(&storage, options.api_key_file, options.api_key_file_may_be_missing,
                                &clock, nullptr);
  return keys ? Status() : Status(keys.error().in("--api-key-file"));
}

ApiServerOptions api_options(const ApiFlags& flags) {
  ApiServerOptions options;
  options.http.host = flags.host;
  options.http.port = flags.port;
  options.http.tls = {flags.tls_certificate, flags.tls_key};
  options.api_key_file_may_be_missing = flags.key_file.empty();
  options.api_key_file = flags.key_file.empty() ? own_key_file() : flags.key_file;
  options.cors_origins = flags.cors_origins;
  options.version = POTLUCK_VERSION;
  return options;
}

}  // namespace potluck
