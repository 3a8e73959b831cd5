// JSON text to a Value, leaving out what nobody reads: of a pod of 5 KB the directory wants 500
// bytes, and a cluster sends 100,000 of them.
//
// The whole text is checked, the parts left out too. Bounded: 8 MB a text (an API server takes no
// request above 3 MB), 128 levels. A JsonReader keeps its memory between texts, and gives it back
// after a large one. One thread; nothing is thrown.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/document/value.h"

namespace portolan {

inline constexpr size_t kMaxJsonBytes = 8u << 20;

// A field that is read into the Value. Lists are transparent: what is wanted of a list is wanted of
// each item.
struct WantedField {
  std::string_view name;
  std::vector<WantedField> fields = {};  // none: all that is in it
};

class JsonReader {
 public:
  JsonReader();
  ~JsonReader();

  // The fields `wanted` of an object; none: all. `text` may be given a larger capacity, which the
  // parser reads ahead into. Numbers, true and false are Value::Kind::kPlain as they stand; lines
  // are 0, digests too.
  absl::StatusOr<std::shared_ptr<const Value>> Read(std::string& text,
                                                    const std::vector<WantedField>& wanted);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace portolan
