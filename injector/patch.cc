#include "injector/patch.h"

#include <fmt/format.h>

#include <utility>

namespace portolan::injector {

std::string Escaped(std::string_view name) {
  std::string escaped;
  for (const char c : name) {
    if (c == '~') {
      escaped += "~0";
    } else if (c == '/') {
      escaped += "~1";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

void Patch::Add(std::string path, Json value) {
  operations_.push_back({{"op", "add"}, {"path", std::move(path)}, {"value", std::move(value)}});
}

void Patch::Append(const std::string& path, bool absent, const Json& items) {
  if (items.empty()) return;
  if (absent) return Add(path, items);
  for (const Json& item : items) Add(path + "/-", item);
}

void Patch::Insert(const std::string& path, bool absent, size_t index, const Json& items) {
  if (items.empty()) return;
  if (absent) return Add(path, items);
  for (const Json& item : items) Add(fmt::format("{}/{}", path, index++), item);
}

void Patch::Merge(const std::string& path, bool absent, const Json& members) {
  if (members.empty()) return;
  if (absent) return Add(path, members);
  for (const auto& [name, value] : members.items()) {
    Add(fmt::format("{}/{}", path, Escaped(name)), value);
  }
}

}  // namespace portolan::injector
