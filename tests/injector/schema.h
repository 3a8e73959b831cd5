// The published schema of a pod (schema.txt), and what in a piece of JSON does not follow it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "injector/pod.h"

namespace portolan::injector {

class Schema {
 public:
  // From tests/injector/schema.txt; fails the test where that cannot be read.
  static Schema Read();

  // The type at a JSON Pointer from a Pod; empty: there is no such field.
  std::string TypeAt(const std::string& pointer) const;
  // What is wrong with `json` as a value of `type`, each with its path.
  std::vector<std::string> Faults(const Json& json, const std::string& type,
                                  const std::string& path) const;

 private:
  struct Member {
    std::string type;
    std::vector<std::string> words;  // of an enumeration
    bool required = false;
  };
  std::vector<std::string> ObjectFaults(const Json& json, const std::map<std::string, Member>& type,
                                        const std::string& path) const;

  std::map<std::string, std::map<std::string, Member>> types_;
};

}  // namespace portolan::injector
