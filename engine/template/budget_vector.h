// BudgetVector: a sequence of which every byte is taken from a budget before it is allocated. What
// the budget refuses is not added; the budget knows, and ends the rendering. Code that relies on
// what was added asks the budget, or reserve(), first. Copies take from the same budget. Values.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "engine/template/budget.h"

namespace potluck {

template <class T>
class BudgetVector {
 public:
  // Null: nothing is counted. The budget must outlive the vector.
  explicit BudgetVector(Budget* budget) : budget_(budget) {}
  BudgetVector(const BudgetVector& other) : budget_(other.budget_) {
    append(other.data(), other.size());
  }
  BudgetVector(BudgetVector&& other) noexcept
      : budget_(other.budget_),
        items_(std::move(other.items_)),
        taken_(std::exchange(other.taken_, 0)) {
    other.items_.clear();
  }
  BudgetVector& operator=(BudgetVector other) noexcept {
    std::swap(budget_, other.budget_);
    items_.swap(other.items_);
    std::swap(taken_, other.taken_);
    return *this;
  }
  ~BudgetVector() { give_back(taken_); }

  Budget* budget() const { return budget_; }
  // A holder that keeps the vector longer than the budget lives calls this first.
  void leave_budget() {
    give_back(taken_);
    taken_ = 0;
    budget_ = nullptr;
  }

  // False, and nothing happens, where the budget refuses.
  bool reserve(size_t count) {
    if (count <= items_.capacity()) return true;
    const uint64_t bytes = uint64_t{count} * sizeof(T);
    if (budget_ != nullptr && !budget_->take(bytes)) return false;
    std::vector<T> larger;
    larger.reserve(count);
    std::move(items_.begin(), items_.end(), std::back_inserter(larger));
    items_.swap(larger);
    give_back(taken_);
    taken_ = bytes;
    return true;
  }

  void push_back(T item) {
    if (budget_ != nullptr) budget_->spend(1);
    if (!grow(1)) return;
    items_.push_back(std::move(item));
  }
  // The range must not be part of this vector.
  void append(const T* first, size_t count) {
    if (budget_ != nullptr) budget_->spend_text(count * sizeof(T));
    if (!grow(count)) return;
    items_.insert(items_.end(), first, first + count);
  }
  void erase(size_t index) { items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(index)); }
  // Gives all memory back.
  void clear() {
    std::vector<T>().swap(items_);
    give_back(std::exchange(taken_, 0));
  }
  // Empty again, with the room it had.
  void drop_items() { items_.clear(); }
  void reverse() { std::reverse(items_.begin(), items_.end()); }
  void swap(BudgetVector& other) { std::swap(*this, other); }

  size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  const T* data() const { return items_.data(); }
  T& operator[](size_t index) { return items_[index]; }
  const T& operator[](size_t index) const { return items_[index]; }
  T& front() { return items_.front(); }
  const T& front() const { return items_.front(); }
  T& back() { return items_.back(); }
  const T& back() const { return items_.back(); }
  auto begin() { return items_.begin(); }
  auto end() { return items_.end(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

 private:
  static constexpr size_t kFirst = 32 / sizeof(T) > 1 ? 32 / sizeof(T) : 1;

  bool grow(size_t count) {
    const size_t needed = items_.size() + count;
    if (needed <= items_.capacity()) return true;
    return reserve(std::max({needed, items_.capacity() + items_.capacity() / 2, kFirst}));
  }
  void give_back(uint64_t bytes) {
    if (budget_ != nullptr && bytes > 0) budget_->give_back(bytes);
  }

  Budget* budget_;
  std::vector<T> items_;
  uint64_t taken_ = 0;
};

}  // namespace potluck
