// The floor under a layer with N workers: a bare encrypted scatter and gather of the same bytes,
// with nothing computed. N child processes answer over ZeroMQ with CURVE on loopback; one round
// sends every child a request and waits for all answers.
//
//   gather_bench WORKERS SEND_BYTES REPLY_BYTES ROUNDS    -> median microseconds per round
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

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

void set_text(void* socket, int option, const char* text) {
  CHECK(zmq_setsockopt(socket, option, text, 41) == 0);
}

// A child: says hello once, then answers every request with `reply_bytes`.
[[noreturn]] void answer_forever(const std::string& endpoint, const Keys& server,
                                 size_t reply_bytes) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  void* context = zmq_ctx_new();
  void* socket = zmq_socket(context, ZMQ_DEALER);
  Keys own = make_keys();
  set_text(socket, ZMQ_CURVE_SERVERKEY, server.public_key);
  set_text(socket, ZMQ_CURVE_PUBLICKEY, own.public_key);
  set_text(socket, ZMQ_CURVE_SECRETKEY, own.secret_key);
  CHECK(zmq_connect(socket, endpoint.c_str()) == 0);
  std::vector<char> reply(reply_bytes, 'r');
  CHECK(zmq_send(socket, "h", 1, 0) == 1);
  std::vector<char> request(1 << 20);
  for (;;) {
    CHECK(zmq_recv(socket, request.data(), request.size(), 0) >= 0);
    CHECK(zmq_send(socket, reply.data(), reply.size(), 0) == static_cast<int>(reply.size()));
  }
}

class Gatherer {
 public:
  Gatherer(const Keys& keys, const std::string& endpoint) : context_(zmq_ctx_new()) {
    socket_ = zmq_socket(context_, ZMQ_ROUTER);
    int as_server = 1;
    CHECK(zmq_setsockopt(socket_, ZMQ_CURVE_SERVER, &as_server, sizeof as_server) == 0);
    set_text(socket_, ZMQ_CURVE_SECRETKEY, keys.secret_key);
    CHECK(zmq_bind(socket_, endpoint.c_str()) == 0);
  }

  void wait_for_hellos(int workers) {
    while (static_cast<int>(peers_.size()) < workers) peers_.push_back(receive_one());
  }

  void round(const std::vector<char>& request) {
    for (const std::string& peer : peers_) {
      CHECK(zmq_send(socket_, peer.data(), peer.size(), ZMQ_SNDMORE) >= 0);
      CHECK(zmq_send(socket_, request.data(), request.size(), 0) >= 0);
    }
    for (size_t i = 0; i < peers_.size(); ++i) receive_one();
  }

 private:
  std::string receive_one() {
    char identity[256];
    int length = zmq_recv(socket_, identity, sizeof identity, 0);
    CHECK(length > 0);
    CHECK(zmq_recv(socket_, body_.data(), body_.size(), 0) >= 0);
    return {identity, static_cast<size_t>(length)};
  }

  void* context_;
  void* socket_;
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
  if (argc != 5) {
    std::fprintf(stderr, "usage: gather_bench WORKERS SEND_BYTES REPLY_BYTES ROUNDS\n");
    return 2;
  }
  int workers = std::atoi(argv[1]);
  auto reply_bytes = static_cast<size_t>(std::atol(argv[3]));
  int rounds = std::max(1, std::atoi(argv[4]));
  Keys keys = make_keys();
  std::string endpoint = "tcp://127.0.0.1:" + std::to_string(20000 + getpid() % 20000);
  std::vector<pid_t> children;
  for (int i = 0; i < workers; ++i) {
    pid_t child = fork();
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
