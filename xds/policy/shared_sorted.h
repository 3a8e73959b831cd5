// An immutable sorted list, each once, that is cheap to derive the next version from: cut into
// pieces that versions share.
//
// Sets of peers are sent as a whole now and then and changed by one all the time: in order and
// without a hash table they take the least memory, and a change of one among 5,000 copies one piece
// and a dozen pointers. T is small and has operator<. Any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace portolan::xds {

template <typename T>
class SharedSorted {
 public:
  // A piece that grows beyond this is cut in two.
  static constexpr size_t kMostInPiece = 512;

  size_t size() const { return size_; }

  bool Contains(const T& value) const {
    // The first piece that does not end before it.
    const auto piece =
        std::lower_bound(pieces_.begin(), pieces_.end(), value,
                         [](const auto& one, const T& wanted) { return one->back() < wanted; });
    return piece != pieces_.end() && std::binary_search((*piece)->begin(), (*piece)->end(), value);
  }

  // In order: visit(const T&).
  template <typename F>
  void ForEach(F&& visit) const {
    for (const auto& piece : pieces_) std::for_each(piece->begin(), piece->end(), visit);
  }

  // REQUIRES: both sorted, each once; all of `removed` are in it and none of `added`.
  SharedSorted Changed(std::span<const T> added, std::span<const T> removed) const {
    SharedSorted next;
    next.pieces_.reserve(pieces_.size() + 1);
    next.size_ = size_ + added.size() - removed.size();
    for (size_t i = 0; i < pieces_.size(); ++i) {
      const auto& piece = pieces_[i];
      const bool last = i + 1 == pieces_.size();
      // What comes before the next piece belongs to this one.
      const auto mine = last ? added : TakeBefore(pieces_[i + 1]->front(), added);
      const auto gone = last ? removed : TakeBefore(pieces_[i + 1]->front(), removed);
      if (mine.empty() && gone.empty()) {
        next.pieces_.push_back(piece);
        continue;
      }
      std::vector<T> kept;
      kept.reserve(piece->size());
      std::set_difference(piece->begin(), piece->end(), gone.begin(), gone.end(),
                          std::back_inserter(kept));
      next.AddMerged(kept, mine);
    }
    if (pieces_.empty()) next.AddMerged({}, added);
    return next;
  }

 private:
  using Piece = std::shared_ptr<const std::vector<T>>;

  // Cuts off and returns what of `values` is less than `end`.
  static std::span<const T> TakeBefore(const T& end, std::span<const T>& values) {
    const auto at = std::lower_bound(values.begin(), values.end(), end) - values.begin();
    const auto taken = values.first(static_cast<size_t>(at));
    values = values.subspan(static_cast<size_t>(at));
    return taken;
  }

  void AddMerged(const std::vector<T>& kept, std::span<const T> added) {
    std::vector<T> all;
    all.reserve(kept.size() + added.size());
    std::merge(kept.begin(), kept.end(), added.begin(), added.end(), std::back_inserter(all));
    const size_t count = (all.size() + kMostInPiece - 1) / kMostInPiece;
    for (size_t i = 0; i < count; ++i) {
      const auto begin = all.begin() + static_cast<ptrdiff_t>(all.size() * i / count);
      const auto end = all.begin() + static_cast<ptrdiff_t>(all.size() * (i + 1) / count);
      pieces_.push_back(std::make_shared<const std::vector<T>>(begin, end));
    }
  }

  std::vector<Piece> pieces_;  // none is empty
  size_t size_ = 0;
};

}  // namespace portolan::xds
