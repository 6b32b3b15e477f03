// The floor under a layer with N workers: a bare encrypted scatter and gather of the same bytes,
// with nothing computed. N child processes answer over ZeroMQ with CURVE on loopback; one round
// sends every child a request and waits for all answers.
//
//   gather_bench WORKERS SEND_BYTES REPLY_BYTES ROUNDS [ADDRESS NAMESPACE]
//                                                         -> median microseconds per round
//
// With an address of this host and a network namespace for each child ("host{}", {} being 1 and on)
// the bytes cross whatever lies between them.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
#include <zmq.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/check.h"
#include "engine/base/clock.h"

namespace potluck {
namespace {

struct Keys {
  char public_key[41];
  char secret_key[41];
};

Keys make_keys() {
  Keys keys;
  CHECK(zmq_curve_keypair(keys.public_key, keys.secret_key) == 0);
  return keys;
}

// A child: says hello once, then answers every request with `reply_bytes`.
[[noreturn]] void answer_forever(const std::string& endpoint, const Keys& server,
                                 size_t reply_bytes) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  zmq::context_t context;
  zmq::socket_t socket(context, zmq::socket_type::dealer);
  Keys own = make_keys();
  socket.set(zmq::sockopt::curve_serverkey, server.public_key);
  socket.set(zmq::sockopt::curve_publickey, own.public_key);
  socket.set(zmq::sockopt::curve_secretkey, own.secret_key);
  socket.connect(endpoint);
  std::vector<char> reply(reply_bytes, 'r');
  CHECK(socket.send(zmq::str_buffer("h")).has_value());
  std::vector<char> request(1 << 20);
  for (;;) {
    CHECK(socket.recv(zmq::buffer(request)).has_value());
    CHECK(socket.send(zmq::buffer(reply)) == reply.size());
  }
}

// Before any thread is started.
void enter(std::string name_space, int child) {
  size_t place = name_space.find("{}");
  if (place != std::string::npos) name_space.replace(place, 2, std::to_string(child));
  int inside = open(("/run/netns/" + name_space).c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(inside >= 0 && setns(inside, CLONE_NEWNET) == 0);
  close(inside);
}

class Gatherer {
 public:
  Gatherer(const Keys& keys, const std::string& endpoint)
      : socket_(context_, zmq::socket_type::router) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::curve_server, true);
    socket_.set(zmq::sockopt::curve_secretkey, keys.secret_key);
    socket_.bind(endpoint);
  }

  void wait_for_hellos(int workers) {
    while (static_cast<int>(peers_.size()) < workers) peers_.push_back(receive_one());
  }

  void round(const std::vector<char>& request) {
    for (const std::string& peer : peers_) {
      CHECK(socket_.send(zmq::buffer(peer), zmq::send_flags::sndmore).has_value());
      CHECK(socket_.send(zmq::buffer(request)).has_value());
    }
    for (size_t i = 0; i < peers_.size(); ++i) receive_one();
  }

 private:
  std::string receive_one() {
    char identity[256];
    auto length = socket_.recv(zmq::buffer(identity));
    CHECK(length.has_value());
    CHECK(socket_.recv(zmq::buffer(body_)).has_value());
    return {identity, length->size};
  }

  zmq::context_t context_;
  zmq::socket_t socket_;
  std::vector<std::string> peers_;
  std::vector<char> body_ = std::vector<char>(1 << 20);
};

double median_round_us(Gatherer& gatherer, size_t send_bytes, int rounds) {
  SystemClock clock;
  std::vector<char> request(send_bytes, 'q');
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    TimePoint start = clock.now();
    gatherer.round(request);
    times.push_back(std::chrono::duration<double, std::micro>(clock.now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return times[static_cast<size_t>(rounds / 2)];
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  using namespace potluck;
  if (argc != 5 && argc != 7) {
    std::fprintf(stderr,
                 "usage: gather_bench WORKERS SEND_BYTES REPLY_BYTES ROUNDS [ADDRESS NAMESPACE]\n");
    return 2;
  }
  int workers = std::atoi(argv[1]);
  auto reply_bytes = static_cast<size_t>(std::atol(argv[3]));
  int rounds = std::max(1, std::atoi(argv[4]));
  Keys keys = make_keys();
  std::string endpoint =
      fmt::format("tcp://{}:{}", argc == 7 ? argv[5] : "127.0.0.1", 20000 + getpid() % 10000);
  std::vector<pid_t> children;
  for (int i = 0; i < workers; ++i) {
    pid_t child = fork();
    if (child == 0 && argc == 7) enter(argv[6], i + 1);
    if (child == 0) answer_forever(endpoint, keys, reply_bytes);
    children.push_back(child);
  }
  Gatherer gatherer(keys, endpoint);
  gatherer.wait_for_hellos(workers);
  median_round_us(gatherer, static_cast<size_t>(std::atol(argv[2])), rounds / 10 + 1);
  double median = median_round_us(gatherer, static_cast<size_t>(std::atol(argv[2])), rounds);
  std::printf("%.1f\n", median);
  for (pid_t child : children) kill(child, SIGKILL);
  for (pid_t child : children) waitpid(child, nullptr, 0);
  return 0;
}
