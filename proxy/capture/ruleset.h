// What is in the kernel against what is wanted: reading iptables-save, naming the differences, and
// the iptables-restore input that removes them.
//
// Pure text, any thread. Ours is a chain whose name begins with kChainPrefix, and a rule elsewhere
// that jumps to one; nothing else is ever named in the restore input.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/capture/rules.h"

namespace portolan::proxy {

// What of the output of iptables-save is ours; tables without anything of ours are left out. Chains
// are sorted by name (the back ends list them in different orders).
std::vector<Table> OwnTables(std::string_view iptables_save);

// True if there is any rule or any chain that is not built in, whosever it is.
bool HoldsRules(std::string_view iptables_save);

// What is missing, superfluous or in another order, one line each; empty if nothing is.
std::vector<std::string> Differences(const std::vector<Table>& wanted,
                                     const std::vector<Table>& found);

// The input for `iptables-restore --noflush` that turns `found` into `wanted`, one transaction for
// each table that differs; empty if none does. An empty `wanted` removes all that is ours.
std::string RestoreInput(const std::vector<Table>& wanted, const std::vector<Table>& found);

}  // namespace portolan::proxy
