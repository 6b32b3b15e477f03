// When a batch is done.
#include "coordinator/dispatch/ticket_book.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(TicketBook, ATicketIsDoneWhenNothingIsToCome) {
  TicketBook book;
  ExpertBatch batch;
  ExpertSums sums;
  uint64_t number = book.open(batch, &sums, {});
  Ticket& ticket = book.at(number);
  EXPECT_EQ(ticket.batch, &batch);
  EXPECT_EQ(ticket.out, &sums);
  EXPECT_TRUE(ticket.done());
  for (uint32_t* left : {&ticket.owed, &ticket.waiting, &ticket.local_running}) {
    *left = 1;
    EXPECT_FALSE(ticket.done());
    *left = 0;
  }
  ticket.local.add(RowCalls{{0, 0, 0, 1}});
  EXPECT_FALSE(ticket.done());
}

TEST(TicketBook, NumbersAreNotUsedAgain) {
  TicketBook book;
  ExpertBatch batch;
  ExpertSums sums;
  uint64_t first = book.open(batch, &sums, {});
  book.close(first);
  EXPECT_NE(book.open(batch, &sums, {}), first);
}

TEST(TicketBook, TheOldestLocalWorkComesFirst) {
  TicketBook book;
  ExpertBatch batch;
  ExpertSums sums;
  std::vector<uint64_t> numbers;
  for (int i = 0; i < 3; ++i) numbers.push_back(book.open(batch, &sums, {}));
  EXPECT_FALSE(book.has_local_work());
  EXPECT_EQ(book.first_with_local_work(), nullptr);
  book.at(numbers[2]).local.add(RowCalls{{0, 0, 0, 1}});
  book.at(numbers[1]).local.add(RowCalls{{0, 0, 0, 1}});
  EXPECT_TRUE(book.has_local_work());
  EXPECT_EQ(book.first_with_local_work()->first, numbers[1]);
  book.close(numbers[1]);
  EXPECT_EQ(book.first_with_local_work()->first, numbers[2]);
}

}  // namespace
}  // namespace potluck
