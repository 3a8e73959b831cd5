#include "injector/setting_values.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <span>

#include "absl/time/time.h"
#include "common/nearest.h"
#include "injector/quantity.h"

namespace portolan::injector {
namespace {

constexpr size_t kShown = 60;
constexpr std::string_view kLowerAlphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789";

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

std::string Quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text.substr(0, kShown)) quoted += c >= ' ' && c < 0x7f ? c : '?';
  return quoted + (text.size() > kShown ? "...'" : "'");
}

bool OnlyOf(std::string_view text, std::string_view marks) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return IsAlphanumeric(c) || marks.find(c) != marks.npos; });
}

bool IsDnsLabel(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return c == '-' || kLowerAlphanumeric.find(c) != kLowerAlphanumeric.npos;
         });
}

bool IsDnsSubdomain(std::string_view text) {
  if (text.size() > 253) return false;
  while (true) {
    const size_t dot = text.find('.');
    if (!IsDnsLabel(text.substr(0, dot))) return false;
    if (dot == text.npos) return true;
    text.remove_prefix(dot + 1);
  }
}

absl::Status ReadWord(std::string_view value, std::initializer_list<std::string_view> words,
                      std::string& out) {
  if (std::find(words.begin(), words.end(), value) == words.end()) {
    return InvalidArgument("{} is not {}{}", Quoted(value), fmt::join(words, " or "),
                           DidYouMean(value, std::span(words.begin(), words.size())));
  }
  out = value;
  return absl::OkStatus();
}

absl::Status ReadNumber(std::string_view value, int64_t least, int64_t most, int64_t& out) {
  int64_t number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || stop != end || number < least || number > most) {
    return InvalidArgument("{} is not a number from {} to {}", Quoted(value), least, most);
  }
  out = number;
  return absl::OkStatus();
}

absl::Status ReadPort(std::string_view value, uint16_t& out) {
  int64_t number = 0;
  if (auto status = ReadNumber(value, 1, 65535, number); !status.ok()) return status;
  out = static_cast<uint16_t>(number);
  return absl::OkStatus();
}

absl::Status ReadUid(std::string_view value, uint32_t& out) {
  int64_t number = 0;
  if (auto status = ReadNumber(value, 0, INT32_MAX, number); !status.ok()) return status;
  out = static_cast<uint32_t>(number);
  return absl::OkStatus();
}

absl::Status ReadCidr(std::string_view value, Cidr& out) {
  auto cidr = Cidr::Parse(value);
  if (!cidr.ok()) return InvalidArgument("{} is no address and no CIDR", Quoted(value));
  out = *cidr;
  return absl::OkStatus();
}

absl::Status ReadCapturedCidr(std::string_view value, Cidr& out) {
  if (auto status = ReadCidr(value, out); !status.ok()) return status;
  if (out.prefix_bits > 0) return absl::OkStatus();
  return InvalidArgument("{} is every address: capture 'all' is for that", Quoted(value));
}

absl::Status ReadCpu(std::string_view value, std::string& out) {
  const auto cores = ParseQuantity(value);
  if (!cores.has_value() || *cores < 1e-3) {
    return InvalidArgument("{} is no quantity of CPU such as 100m or 2", Quoted(value));
  }
  out = value;
  return absl::OkStatus();
}

absl::Status ReadMemory(std::string_view value, std::string& out) {
  const auto bytes = ParseQuantity(value);
  if (!bytes.has_value() || *bytes < 0x1p20) {
    return InvalidArgument("{} is no quantity of memory such as 64Mi, 1Mi at least", Quoted(value));
  }
  out = value;
  return absl::OkStatus();
}

absl::Status ReadCpuLimit(std::string_view value, std::string& out) {
  if (value != "none") return ReadCpu(value, out);
  out.clear();
  return absl::OkStatus();
}

absl::Status ReadMemoryLimit(std::string_view value, std::string& out) {
  if (value != "none") return ReadMemory(value, out);
  out.clear();
  return absl::OkStatus();
}

absl::Status ReadImage(std::string_view value, std::string& out) {
  if (value.empty() || value.size() > 512 || !IsAlphanumeric(value.front()) ||
      !OnlyOf(value, "._-/:@")) {
    return InvalidArgument("{} is no name of an image", Quoted(value));
  }
  out = value;
  return absl::OkStatus();
}

absl::Status ReadKeyName(std::string_view value, std::string& out) {
  if (value.empty() || value.size() > 253 || !OnlyOf(value, "._-")) {
    return InvalidArgument("{} is no key of a ConfigMap: letters, digits, '.', '_' and '-'",
                           Quoted(value));
  }
  out = value;
  return absl::OkStatus();
}

absl::Status ReadDnsName(std::string_view value, std::string& out) {
  if (!IsDnsSubdomain(value)) return InvalidArgument("{} is no DNS name", Quoted(value));
  out = value;
  return absl::OkStatus();
}

absl::Status ReadDuration(std::string_view value, std::string& out) {
  absl::Duration time;
  if (!absl::ParseDuration(absl::string_view(value.data(), value.size()), &time) ||
      time < absl::ZeroDuration() || time > absl::Hours(1)) {
    return InvalidArgument("{} is no duration such as 5s or 1m30s, 1h at most", Quoted(value));
  }
  out = value;
  return absl::OkStatus();
}

std::string_view WithoutBlanks(std::string_view text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

}  // namespace portolan::injector
