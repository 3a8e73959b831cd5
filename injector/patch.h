// A JSON Patch made of additions, each valid whatever was missing before it.
// https://www.rfc-editor.org/rfc/rfc6902
#pragma once

#include <string>
#include <string_view>

#include "injector/pod.h"

namespace portolan::injector {

// "/" and "~" as a JSON Pointer (RFC 6901) has them inside a name.
std::string Escaped(std::string_view name);

class Patch {
 public:
  // Sets the member that `path` names; where a list is, inserts before the item that it names.
  void Add(std::string path, Json value);
  // Appends `items` to the list at `path`, which is made where it is `absent` (or null).
  void Append(const std::string& path, bool absent, const Json& items);
  // Inserts `items` into the list at `path`, the first at `index`.
  void Insert(const std::string& path, bool absent, size_t index, const Json& items);
  // Sets `members` of the object at `path`, which is made where it is `absent` (or null).
  void Merge(const std::string& path, bool absent, const Json& members);

  bool empty() const { return operations_.empty(); }
  Json Take() { return std::move(operations_); }

 private:
  Json operations_ = Json::array();
};

}  // namespace portolan::injector
