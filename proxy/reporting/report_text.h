// Texts for reports, which take printable ASCII alone. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace portolan::proxy {

// At most `most` bytes of it, "?" for what is not printable.
std::string ReportText(std::string_view text, size_t most);

// A name as AskedName.name (portolan/v1/sidecars.proto), but with its final dot: "?" for what is
// not printable, or a dot within a label. `wire`: uncompressed, with or without the root label.
std::string ReportNameWithDot(std::string_view wire);
// Without: but for the root, which is ".".
std::string ReportName(std::string_view wire);

}  // namespace portolan::proxy
