#include "common/status.h"

#include <system_error>

namespace portolan {

absl::Status ErrnoError(int error, std::string_view what) {
  return absl::ErrnoToStatus(error, absl::string_view(what.data(), what.size()));
}

}  // namespace portolan
