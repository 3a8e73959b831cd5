// The items of a list out of its bytes, one by one as they arrive and however they were cut: no
// list is ever in memory as a whole
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks).
//
// One thread; nothing is thrown. At most kMaxJsonBytes are kept of an item, 1 MB of what is around
// the items.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/document/json.h"

namespace portolan {

// What a list says about itself.
struct ListHead {
  std::string kind;              // "ServiceList"
  std::string resource_version;  // what it shows, and a watch goes on from
  std::string continue_token;    // empty: this was the last page
};

class ListReader {
 public:
  // Calls on_item(std::string& text) for each item that is whole now: a JSON object, not yet
  // checked. An item that is too long comes as its first kMaxJsonBytes + 1 bytes. An error, which
  // stays, if this is no list.
  template <typename F>
  absl::Status Take(std::string_view bytes, F&& on_item) {
    while (!bytes.empty() && status_.ok()) {
      bytes.remove_prefix(Scan(bytes));
      if (!item_whole_) continue;
      on_item(item_);
      item_.clear();
      if (item_.capacity() > kKept) item_.shrink_to_fit();
      item_whole_ = false;
    }
    return status_;
  }

  // Once all bytes were taken. An error if the list is not whole.
  absl::StatusOr<ListHead> Finish(JsonReader& reader);

 private:
  static constexpr size_t kKept = 1u << 20;

  // Takes at least one byte, at most to the end of an item; how many.
  size_t Scan(std::string_view bytes);
  size_t ScanString(std::string_view bytes);
  void Step(char c);
  void Keep(std::string_view bytes);
  bool in_item() const { return in_items_ && depth_ >= 3; }

  absl::Status status_;
  std::string around_;  // the list without its items
  std::string item_;
  bool item_whole_ = false;
  int depth_ = 0;
  bool in_items_ = false;
  bool in_string_ = false;
  bool escaped_ = false;
  std::string last_string_;  // at depth 1: the key before a '['
};

}  // namespace portolan
