// How values of settings are read, whoever gave them: an annotation or the Template. An error says
// what is wrong with the value; what it was for, the caller knows. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/ip.h"
#include "common/status.h"

namespace portolan::injector {

inline constexpr size_t kMaxListItems = 64;

// For a message: what somebody else wrote, in quotes, on one line and not at any length.
std::string Quoted(std::string_view text);

// Letters, digits and `marks` alone.
bool OnlyOf(std::string_view text, std::string_view marks);
// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
bool IsDnsLabel(std::string_view text);
bool IsDnsSubdomain(std::string_view text);

absl::Status ReadWord(std::string_view value, std::initializer_list<std::string_view> words,
                      std::string& out);
absl::Status ReadNumber(std::string_view value, int64_t least, int64_t most, int64_t& out);
absl::Status ReadPort(std::string_view value, uint16_t& out);
absl::Status ReadUid(std::string_view value, uint32_t& out);
absl::Status ReadCidr(std::string_view value, Cidr& out);
// One that portolan-init captures: every address is refused, as there `capture: all` says that.
absl::Status ReadCapturedCidr(std::string_view value, Cidr& out);
absl::Status ReadCpu(std::string_view value, std::string& out);
absl::Status ReadCpuLimit(std::string_view value, std::string& out);  // or "none": empty
absl::Status ReadMemory(std::string_view value, std::string& out);
absl::Status ReadMemoryLimit(std::string_view value, std::string& out);  // or "none": empty
absl::Status ReadImage(std::string_view value, std::string& out);
// Of a key of a ConfigMap.
absl::Status ReadKeyName(std::string_view value, std::string& out);
absl::Status ReadDnsName(std::string_view value, std::string& out);
absl::Status ReadDuration(std::string_view value, std::string& out);

std::string_view WithoutBlanks(std::string_view text);  // at both ends

// Items with commas between them, each by `read`; an empty value is an empty list.
template <typename T>
absl::Status ReadList(std::string_view value, absl::Status (*read)(std::string_view, T&),
                      std::vector<T>& out) {
  std::vector<T> items;
  while (!value.empty()) {
    const size_t comma = value.find(',');
    T item = {};
    if (auto status = read(WithoutBlanks(value.substr(0, comma)), item); !status.ok()) {
      return status;
    }
    items.push_back(std::move(item));
    if (items.size() > kMaxListItems) return InvalidArgument("more than {} items", kMaxListItems);
    value = comma == value.npos ? std::string_view() : value.substr(comma + 1);
  }
  out = std::move(items);
  return absl::OkStatus();
}

}  // namespace portolan::injector
