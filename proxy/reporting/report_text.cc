#include "proxy/reporting/report_text.h"

#include <algorithm>

namespace portolan::proxy {

std::string ReportText(std::string_view text, size_t most) {
  std::string ascii(text.substr(0, most));
  std::replace_if(
      ascii.begin(), ascii.end(), [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
  return ascii;
}

std::string ReportNameWithDot(std::string_view wire) {
  std::string text;
  for (size_t at = 0; at < wire.size() && wire[at] != 0;) {
    const auto label = static_cast<unsigned char>(wire[at]);
    for (const char c : wire.substr(at + 1, label)) {
      text += c > ' ' && c < 0x7f && c != '.' ? c : '?';
    }
    text += '.';
    at += 1u + label;
  }
  return text.empty() ? "." : text;
}

std::string ReportName(std::string_view wire) {
  std::string text = ReportNameWithDot(wire);
  if (text.size() > 1) text.pop_back();
  return text;
}

}  // namespace portolan::proxy
