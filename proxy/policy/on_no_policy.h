// What is done before the control plane or the disk has said which policies there are.
#pragma once

#include <cstdint>

namespace portolan::proxy {

enum class OnNoPolicy : uint8_t { kOpen, kClosed };

}  // namespace portolan::proxy
