#include "dns/plugins/bind.h"

#include <array>
#include <limits>

#include "dns/plugins/arguments.h"

namespace portolan::dns {

absl::Status LoadBind(const corefile::Directive& directive, LoadContext&) {
  static constexpr std::array<std::string_view, 1> kOptions = {"except"};
  constexpr size_t kAny = std::numeric_limits<size_t>::max();
  absl::Status status = CheckArguments(directive, 1, kAny);
  if (!status.ok()) return status;
  for (const corefile::Directive& line : directive.block) {
    if (line.name.text != "except") return UnknownOption(line, "bind", kOptions);
    status = CheckArguments(line, 1, kAny);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace portolan::dns
