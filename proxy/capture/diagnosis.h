// Why an iptables tool failed, and what the operator can do about it.
//
// Pure text, any thread. The tools say what went wrong in words that only their authors can use
// ("No chain/target/match by that name"); here they become the name of the kernel module, package,
// capability or mount that is missing. The words are those of iptables 1.8.4 to 1.8.11.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "proxy/capture/netfilter.h"

namespace portolan::proxy {

// The status for a tool that exited with an error and printed `complaint`. `input` is what it was
// given to restore (empty for a save): a line number in the complaint leads to the rule and so to
// the modules it needs. Codes as in netfilter.h.
absl::Status Diagnose(std::string_view tool, Backend backend, IpFamily family,
                      std::string_view complaint, std::string_view input);

}  // namespace portolan::proxy
