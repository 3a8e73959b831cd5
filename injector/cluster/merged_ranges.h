// Many ranges of addresses as few: what iptables rules are made of. Any thread.
#pragma once

#include <vector>

#include "common/ip.h"

namespace portolan::injector {

// Ranges that together hold all that `ranges` hold: neighbours joined, what lies in another left
// out. Where more than `most` of a family would be left, those closest to each other are joined
// with what lies between them, but never into more than a /8, or a /24 of IPv6: then it is more.
std::vector<Cidr> MergedRanges(std::vector<Cidr> ranges, size_t most);

}  // namespace portolan::injector
