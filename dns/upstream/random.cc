#include "dns/upstream/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "dns/wire/bytes.h"

namespace portolan::dns::upstream {

void KernelRandom(std::span<uint8_t> out) {
  while (!out.empty()) {
    const ssize_t n = getrandom(out.data(), out.size(), 0);
    if (n > 0) {
      out = out.subspan(static_cast<size_t>(n));
    } else if (errno != EINTR) {
      std::perror("getrandom");
      std::abort();
    }
  }
}

uint16_t Random::Next16() {
  if (used_ == batch_.size()) {
    source_(batch_);
    used_ = 0;
  }
  const uint16_t value = wire::Load16(&batch_[used_]);
  used_ += 2;
  return value;
}

}  // namespace portolan::dns::upstream
