#include "coordinator/cli/first_run.h"

#include <charconv>

#include <fmt/format.h>

#include "engine/base/format_bytes.h"
#include "protocol/listen_address.h"

namespace potluck {
namespace {

constexpr uint16_t kUsualApiPort = 8080;
constexpr uint16_t kUsualPoolPort = 7700;
constexpr uint16_t kPoolPorts = 3;  // join, compute, bulk
constexpr uint16_t kPortsTried = 20;
constexpr const char* kThisMachine = "127.0.0.1";
constexpr const char* kEverywhere = "0.0.0.0";

using PortCheck = std::function<bool(uint16_t port)>;

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// One answer; `usual` for Enter alone. Nothing when there will be none.
std::optional<std::string> ask(const std::string& what, const std::string& usual,
                               const FirstRunSeams& seams) {
  const std::string prompt = usual.empty() ? what + ": " : fmt::format("{} [{}]: ", what, usual);
  while (seams.goes_on()) {
    auto answer = seams.input.next(prompt, seams.goes_on);
    if (!answer) {
      seams.say(answer.error().message);
      continue;
    }
    if (!*answer || !seams.goes_on()) return std::nullopt;
    const std::string text = trimmed(**answer);
    if (!text.empty() || !usual.empty()) return text.empty() ? usual : text;
  }
  return std::nullopt;
}

// The number that was typed, from 1 to `most`.
std::optional<size_t> choice_of(const std::string& text, size_t most) {
  size_t number = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (number < 1 || number > most) return std::nullopt;
  return number;
}

std::string describe_offer(const OfferedModel& offer) {
  std::string line = offer.model.name;
  if (offer.model.bytes > 0) line += "  " + format_bytes(offer.model.bytes);
  if (!offer.model.here) line += ", to be fetched";
  if (offer.model.spread) return line + ", its experts are with the workers";
  if (!offer.tokens_per_second) return line;
  line += fmt::format(", about {:.{}f} tokens/s on this machine alone", *offer.tokens_per_second,
                      *offer.tokens_per_second < 10 ? 1 : 0);
  return offer.from_disk ? line + ", with experts read from disk" : line;
}

std::optional<std::string> ask_model(const std::vector<OfferedModel>& offered,
                                     const std::string& last, const FirstRunSeams& seams) {
  std::vector<std::string> arguments;
  std::string usual;
  seams.say("Which model?");
  for (const OfferedModel& offer : offered) {
    if (!offer.obstacle.empty()) continue;
    arguments.push_back(offer.model.argument);
    if (offer.model.argument == last || usual.empty()) usual = std::to_string(arguments.size());
    seams.say(fmt::format("  {}  {}", arguments.size(), describe_offer(offer)));
  }
  for (const OfferedModel& offer : offered) {
    if (!offer.obstacle.empty()) {
      seams.say(fmt::format("  -  {}: {}", describe_offer(offer), offer.obstacle));
    }
  }
  seams.say(arguments.empty() ? "None was found here that fits; type the path of a GGUF file."
                              : "  or the path of a GGUF file");
  while (auto answer = ask("model", usual, seams)) {
    if (const auto number = choice_of(*answer, arguments.size())) return arguments[*number - 1];
    if (seams.is_file(*answer)) return answer;
    seams.say(fmt::format("there is no file {}", *answer));
  }
  return std::nullopt;
}

std::optional<uint32_t> ask_who(uint32_t last, const FirstRunSeams& seams) {
  seams.say("Who may join and compute with this machine?");
  seams.say("  1  no other device: this machine alone");
  seams.say("  2  devices of this network: each shows a code, which you admit here");
  seams.say("  3  devices that are given an invitation: a line, which is printed here");
  const std::string usual = std::to_string(last >= 1 && last <= 3 ? last : 1);
  while (const auto answer = ask("who", usual, seams)) {
    if (const auto number = choice_of(*answer, 3)) return static_cast<uint32_t>(*number);
    seams.say(fmt::format("expected 1, 2 or 3, found {}", *answer));
  }
  return std::nullopt;
}

// The first of some ports that are free one behind the other; the usual one if none is.
uint16_t first_free(uint16_t usual, uint16_t together, const PortCheck& port_free) {
  for (uint16_t i = 0; i < kPortsTried; ++i) {
    const auto port = static_cast<uint16_t>(usual + i * together);
    bool all = true;
    for (uint16_t k = 0; k < together; ++k) all = all && port_free(static_cast<uint16_t>(port + k));
    if (all) return port;
  }
  return usual;
}

// What is wrong with HOST:PORT; empty: nothing.
std::string fault_of_place(const std::string& text, const PortCheck& port_free) {
  auto address = parse_listen_address(text);
  if (!address) return address.error().message;
  if (address->port == 0 || port_free(address->port)) return "";
  return fmt::format("port {} is taken by another program", address->port);
}

std::optional<std::string> ask_place(const std::string& last, const FirstRunSeams& seams) {
  const uint16_t port = first_free(kUsualApiPort, 1, seams.port_free);
  const std::vector<std::string> places = {fmt::format("{}:{}", kThisMachine, port),
                                           fmt::format("{}:{}", kEverywhere, port)};
  seams.say("Where should programs and browsers reach it (the API, and the pages with a chat)?");
  seams.say(fmt::format("  1  on this machine ({})", places[0]));
  seams.say(
      fmt::format("  2  from this network too ({}); `potluck keys add NAME` makes a key, "
                  "which is needed from then on",
                  places[1]));
  seams.say("  or HOST:PORT");
  std::string usual = "1";
  if (!last.empty() && fault_of_place(last, seams.port_free).empty()) usual = last;
  while (auto answer = ask("where", usual, seams)) {
    if (const auto number = choice_of(*answer, places.size())) return places[*number - 1];
    const std::string fault = fault_of_place(*answer, seams.port_free);
    if (fault.empty()) return answer;
    seams.say(fault);
  }
  return std::nullopt;
}

}  // namespace

std::optional<FirstAnswers> ask_first_run(const std::vector<OfferedModel>& offered,
                                          const FirstAnswers& last, const FirstRunSeams& seams) {
  FirstAnswers answers;
  const auto model = ask_model(offered, last.model, seams);
  if (!model) return std::nullopt;
  answers.model = *model;
  const auto who = ask_who(last.who, seams);
  if (!who) return std::nullopt;
  answers.who = *who;
  const auto place = ask_place(last.listen, seams);
  if (!place) return std::nullopt;
  answers.listen = *place;
  return answers;
}

std::vector<std::string> first_command(const FirstAnswers& answers, const PortCheck& port_free) {
  // With a worker process of its own it answers at once, and other devices may join later.
  std::vector<std::string> arguments = {"serve", answers.model, "--workers", "1"};
  auto add = [&](std::initializer_list<std::string> more) {
    arguments.insert(arguments.end(), more);
  };
  const uint16_t pool = first_free(kUsualPoolPort, kPoolPorts, port_free);
  if (answers.who == 1) {
    add({"--listen", fmt::format("localhost:{}", pool), "--no-beacon", "--invitations", "0"});
  } else {
    if (pool != kUsualPoolPort) add({"--listen", fmt::format("*:{}", pool)});
    if (answers.who == 2) add({"--invitations", "0"});
    if (answers.who == 3) add({"--no-beacon"});
  }
  auto place = parse_listen_address(answers.listen);
  if (!place) return arguments;
  std::string host = place->host == "*" ? kEverywhere : place->host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  add({"--host", host, "--port", std::to_string(place->port)});
  return arguments;
}

std::string shell_line(const std::vector<std::string>& arguments) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=+@%,";
  std::string line = "potluck";
  for (const std::string& argument : arguments) {
    if (!argument.empty() && argument.find_first_not_of(kPlain) == std::string::npos) {
      line += " " + argument;
      continue;
    }
    line += " '";
    for (char c : argument) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += "'";
  }
  return line;
}

}  // namespace potluck
