#include "common/http/target.h"

#include <algorithm>

#include "common/ip.h"

namespace portolan::http {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

enum class Plus { kLiteral, kSpace };

std::optional<std::string> PercentDecode(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::kSpace) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      if (text.size() - i < 3) return std::nullopt;
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return out;
}

bool HasDotSegment(std::string_view path) {
  while (!path.empty()) {
    const size_t end = path.find('/');
    const std::string_view segment = path.substr(0, end);
    if (segment == "." || segment == "..") return true;
    if (end == std::string_view::npos) return false;
    path.remove_prefix(end + 1);
  }
  return false;
}

std::optional<QueryParameters> ParseQuery(std::string_view text) {
  QueryParameters parameters;
  while (!text.empty()) {
    const size_t end = text.find('&');
    const std::string_view pair = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (pair.empty()) continue;
    if (parameters.size() == kMaxQueryParameters) return std::nullopt;
    const size_t equals = pair.find('=');
    auto key = PercentDecode(pair.substr(0, equals), Plus::kSpace);
    auto value = equals == std::string_view::npos
                     ? std::string()
                     : PercentDecode(pair.substr(equals + 1), Plus::kSpace);
    if (!key || !value) return std::nullopt;
    parameters.emplace_back(std::move(*key), std::move(*value));
  }
  return parameters;
}

bool StartsWithIgnoreCase(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(), [](char want, char c) {
           return want == (c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
         });
}

}  // namespace

std::optional<Target> ParseTarget(std::string_view text) {
  const auto printable = [](char c) { return c > 0x20 && c < 0x7f && c != '#'; };
  if (!std::all_of(text.begin(), text.end(), printable)) return std::nullopt;

  Target target;
  for (std::string_view scheme : {"http://", "https://"}) {
    if (!StartsWithIgnoreCase(text, scheme)) continue;
    text.remove_prefix(scheme.size());
    const size_t end = std::min(text.find_first_of("/?"), text.size());
    target.authority = text.substr(0, end);
    if (target.authority.empty() || target.authority.find('@') != std::string::npos) {
      return std::nullopt;
    }
    text.remove_prefix(end);
    break;
  }

  const size_t question = text.find('?');
  std::string_view raw_path = text.substr(0, question);
  if (raw_path.empty() && !target.authority.empty()) raw_path = "/";
  if (raw_path.empty() || raw_path.front() != '/') return std::nullopt;
  auto path = PercentDecode(raw_path, Plus::kLiteral);
  if (!path || HasDotSegment(*path)) return std::nullopt;
  target.path = std::move(*path);

  if (question != std::string_view::npos) {
    auto query = ParseQuery(text.substr(question + 1));
    if (!query) return std::nullopt;
    target.query = std::move(*query);
  }
  return target;
}

bool IsLiteralOrLocalhost(std::string_view host) {
  const size_t colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos && host.find(']', colon) == host.npos;
  if (has_port) {
    const std::string_view port = host.substr(colon + 1);
    if (port.size() > 5 ||
        !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      return false;
    }
    host = host.substr(0, colon);
  }
  if (host.size() == 9 && StartsWithIgnoreCase(host, "localhost")) return true;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    const auto ip = IpAddress::Parse(host.substr(1, host.size() - 2));
    return ip.ok() && host.find(':') != host.npos;
  }
  const auto ip = IpAddress::Parse(host);
  return ip.ok() && host.find(':') == host.npos;
}

}  // namespace portolan::http
