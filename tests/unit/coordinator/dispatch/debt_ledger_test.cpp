// What is owed, and what is learned from how it is paid.
#include "coordinator/dispatch/debt_ledger.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::peer;

Debt debt_of(DebtLedger& ledger, uint8_t worker, uint64_t ticket = 1) {
  Debt debt;
  debt.work.request = ledger.next_request();
  debt.worker = peer(worker);
  debt.ticket = ticket;
  debt.rows = 1;
  debt.calls = {{0, 3, 0, 1}};
  return debt;
}

TEST(DebtLedger, ADebtIsFoundByItsRequestAndHasADeadline) {
  DebtLedger ledger;
  EXPECT_FALSE(ledger.next_deadline());
  ledger.add(debt_of(ledger, 1), 100, seconds(5));
  ledger.add(debt_of(ledger, 2), 100, seconds(4));
  ASSERT_TRUE(ledger.find(2));
  const Debt& debt = ledger.debts()[*ledger.find(2)];
  EXPECT_EQ(debt.worker, peer(2));
  EXPECT_EQ(debt.asked.sent_at, seconds(4));
  EXPECT_GE(debt.deadline, seconds(4) + kDeadlineFloor);
  EXPECT_EQ(ledger.next_deadline(), debt.deadline);
  EXPECT_FALSE(ledger.find(3));
  EXPECT_FALSE(ledger.track(peer(1)).owes_nothing());
}

// However a debt ends, the worker owes it no more, and the others stay.
TEST(DebtLedger, EveryEndSettlesOneDebt) {
  for (int way = 0; way < 3; ++way) {
    DebtLedger ledger;
    for (uint8_t worker : std::vector<uint8_t>{1, 2, 3}) {
      ledger.add(debt_of(ledger, worker), 100, seconds(1));
    }
    size_t first = *ledger.find(1);
    Debt ended = way == 0   ? ledger.pay(first, seconds(2))
                 : way == 1 ? ledger.give_up(first)
                            : ledger.drop(first);
    EXPECT_EQ(ended.worker, peer(1));
    EXPECT_EQ(ended.calls.size(), 1u);
    EXPECT_FALSE(ledger.find(1));
    EXPECT_TRUE(ledger.find(2));
    EXPECT_TRUE(ledger.find(3));
    EXPECT_EQ(ledger.debts().size(), 2u);
    EXPECT_TRUE(ledger.track(peer(1)).owes_nothing());
    EXPECT_FALSE(ledger.track(peer(2)).owes_nothing());
  }
}

TEST(DebtLedger, AGoodAnswerTeachesSpeed) {
  DebtLedger ledger;
  ledger.add(debt_of(ledger, 1), 100, seconds(1));
  uint32_t before = ledger.track(peer(1)).rows_per_message();
  ledger.pay(0, seconds(1) + milliseconds(500));
  EXPECT_NE(ledger.track(peer(1)).rows_per_message(), before);
}

TEST(DebtLedger, ALateAnswerTeachesPatienceOnceAndOnlyItsSender) {
  DebtLedger ledger;
  ledger.add(debt_of(ledger, 1), 100, seconds(0));
  ledger.missed_deadline(peer(1), seconds(3));
  ledger.give_up(0);
  EXPECT_FALSE(ledger.track(peer(1)).usable(seconds(3)));
  ledger.heard_from(peer(1));
  ledger.answered_late(peer(2), 1, seconds(3));
  EXPECT_FALSE(ledger.track(peer(1)).usable(seconds(3)));
  ledger.answered_late(peer(1), 1, seconds(3));
  EXPECT_TRUE(ledger.track(peer(1)).usable(seconds(3)));
  Duration patience = ledger.track(peer(1)).deadline(1);
  EXPECT_GT(patience, kDeadlineFloor);
  ledger.answered_late(peer(1), 1, seconds(30));  // said again
  EXPECT_EQ(ledger.track(peer(1)).deadline(1), patience);
}

TEST(DebtLedger, OnlySoManyThatWereGivenUpAreRemembered) {
  DebtLedger ledger;
  for (size_t i = 0; i < DebtLedger::kGivenUpKept + 1; ++i) {
    ledger.add(debt_of(ledger, 1), 100, seconds(0));
    ledger.give_up(0);
  }
  Duration patience = ledger.track(peer(1)).deadline(1);
  ledger.answered_late(peer(1), 1, seconds(5));
  EXPECT_EQ(ledger.track(peer(1)).deadline(1), patience) << "the oldest one is forgotten";
  ledger.answered_late(peer(1), 2, seconds(5));
  EXPECT_GT(ledger.track(peer(1)).deadline(1), patience);
}

TEST(DebtLedger, NoWorkerIsKnownByBeingHeard) {
  DebtLedger ledger;
  ledger.heard_from(peer(1));
  ledger.answered_late(peer(1), 7, seconds(1));
  EXPECT_TRUE(ledger.tracks().empty());
}

// Keys come and go; who is needed, owes something or rests is forgotten last.
TEST(DebtLedger, TracksAreBounded) {
  DebtLedger ledger;
  auto key = [](size_t number) {
    PeerKey made = peer(9);
    made.bytes[1] = static_cast<uint8_t>(number);
    made.bytes[2] = static_cast<uint8_t>(number >> 8);
    return made;
  };
  ledger.add(debt_of(ledger, 1), 100, seconds(0));
  ledger.answered_badly(peer(2), seconds(0));
  for (size_t i = 0; i < 2 * DebtLedger::kTracksKept; ++i) ledger.track(key(i));
  PeerKey member = key(2 * DebtLedger::kTracksKept - 1);
  auto needed = [&](const PeerKey& worker) { return worker == member; };
  ledger.forget_others(needed, seconds(0));
  EXPECT_EQ(ledger.tracks().size(), DebtLedger::kTracksKept);
  for (const PeerKey& kept : {peer(1), peer(2), member}) {
    EXPECT_TRUE(ledger.tracks().contains(kept));
  }
}

}  // namespace
}  // namespace potluck
