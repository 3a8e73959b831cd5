// The words of a Corefile without comments, blanks and places: what two texts that mean the same
// have in common.
//
// Any thread.
#pragma once

#include <string>

#include "dns/corefile/ast.h"

namespace portolan::dns::corefile {

std::string WordsOf(const Directive& directive);
std::string WordsOf(const Corefile& corefile);

}  // namespace portolan::dns::corefile
