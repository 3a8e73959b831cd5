// Which resources of a type somebody has, and in which version, page by page: the control plane and
// a sidecar answer alike, so that they can be compared.
//
//   {"resources": {"default/backend": "1f0c6a2e9b3d485"}, "continue": "default/backend"}
//
// by name; "continue" is there when more follow. A page of the longest names Kubernetes allows is
// below 1 MB, which is all that a sidecar may answer. Any thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

namespace portolan::api {

class ResourcePage {
 public:
  static constexpr size_t kMost = 1500;

  // Names behind `after`, which ended the page before; empty: from the start.
  explicit ResourcePage(std::string after) : after_(std::move(after)) {}

  // All there are, in any order: those that belong on the page are kept.
  void Add(const std::string& name, const std::string& version);

  nlohmann::json ToJson() const;

 private:
  const std::string after_;
  std::map<std::string, std::string> page_;
  bool more_ = false;
};

}  // namespace portolan::api
