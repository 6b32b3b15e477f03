// MembershipTest: a Membership over a small manifest, with a clock that only tests move; plays the
// workers message by message. Test code; one thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "coordinator/cluster/membership.h"
#include "engine/kernels/kernels.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck::test {

class MembershipTest : public testing::Test {
 protected:
  static constexpr uint64_t kEpoch = 17;
  // Several workers.
  static constexpr uint8_t kTwo[] = {1, 2};
  static constexpr uint8_t kThree[] = {1, 2, 3};

  MembershipTest() : MembershipTest(0) {}
  explicit MembershipTest(uint32_t max_workers) {
    options_.epoch = kEpoch;
    options_.slices = 2;
    options_.kernels = kernel_self_test(*available_kernels().front());
    options_.compute_endpoint = "tcp://127.0.0.1:5001";
    options_.bulk_endpoint = "tcp://127.0.0.1:5002";
    options_.signing_key.fill(7);
    options_.max_workers = max_workers;
    membership_.emplace(options_, manifest_, allow_list_, invitations_, clock_);
  }

  Hello hello(uint8_t number) const {
    Hello hello;
    hello.arithmetic_version = kArithmeticVersion;
    hello.kernels = options_.kernels;
    hello.name = "worker-" + std::to_string(number);
    hello.software = "potluck test";
    hello.ram_bytes = kGiB;
    hello.disk_bytes = 10 * kGiB;
    return hello;
  }

  static Digest& digest_of(Hello& hello, KernelPart part) {
    auto found = std::find_if(hello.kernels.begin(), hello.kernels.end(),
                              [part](const KernelDigest& known) { return known.part == part; });
    EXPECT_NE(found, hello.kernels.end());
    return found->digest;
  }

  void tell(uint8_t number, const Message& message, Channel channel = Channel::kCompute) {
    membership_->on_message(peer(number), channel, message);
  }

  // What was sent to this peer since the last call to sent().
  template <class T>
  std::vector<T> sent(uint8_t number) {
    collect();
    std::vector<T> found;
    std::erase_if(outbox_, [&](const OutgoingMessage& outgoing) {
      const T* message = std::get_if<T>(&outgoing.message);
      if (outgoing.peer != peer(number) || message == nullptr) return false;
      found.push_back(*message);
      return true;
    });
    return found;
  }

  void collect() {
    for (OutgoingMessage& outgoing : membership_->take_outgoing())
      outbox_.push_back(std::move(outgoing));
  }

  // Long enough that a greeting is answered at once again.
  void pause() { clock_.advance(kGreetingPause); }

  void forget_sent() {
    membership_->take_outgoing();
    outbox_.clear();
  }

  // Admits the worker and returns its newest assignment.
  Assignment join(uint8_t number) {
    EXPECT_TRUE(allow_list_.add(peer(number), "test").ok());
    tell(number, hello(number));
    std::vector<Assignment> assignments = sent<Assignment>(number);
    EXPECT_FALSE(assignments.empty());
    return assignments.empty() ? Assignment{} : assignments.back();
  }

  void make_ready(uint8_t number) {
    const WorkerRecord& record = *membership_->state().worker(peer(number));
    tell(number, Residency{kEpoch,
                           record.assignment_version,
                           {record.assigned.begin(), record.assigned.end()},
                           {}});
  }

  // Time passes in small steps, as ticks come in a real program.
  void pass(Duration duration, const std::function<void()>& each = {}) {
    constexpr Duration kStep = std::chrono::milliseconds(250);
    for (Duration done{0}; done < duration; done += kStep) {
      clock_.advance(kStep);
      if (each) each();
      membership_->on_tick();
      collect();
    }
  }

  size_t assigned_units() const { return membership_->state().units_assigned(); }

  static constexpr size_t kUnits = 3 * 6 * 2;  // layers, experts, slices

  Manifest manifest_ = sample_manifest(3, 6);
  AllowList allow_list_;
  InvitationBook invitations_;
  ManualClock clock_;
  MembershipOptions options_;
  std::optional<Membership> membership_;
  std::vector<OutgoingMessage> outbox_;
};

}  // namespace potluck::test
