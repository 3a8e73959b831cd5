// What is wrong with a cluster's names, or will be once these manifests are applied: a pure
// function over objects. docs/portolanctl.md lists the codes. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/analyze/objects.h"

namespace portolan::ctl::analyze {

enum class Severity : uint8_t {
  kError,   // does not work
  kWarning  // works otherwise than most want, or not for all
};
std::string_view WordOf(Severity severity);

struct Finding {
  std::string code;  // "selector-selects-nothing"
  Severity severity;
  std::string object;  // "Service default/backend"
  Place place;
  std::string what;
  std::string advice;
};

// By file and line, then by object.
std::vector<Finding> Analyze(const Objects& objects);

// The rooms of it: each adds what it finds.
void CheckServices(const Objects& objects, std::vector<Finding>& findings);
void CheckExternalNames(const Objects& objects, std::vector<Finding>& findings);
void CheckPods(const Objects& objects, std::vector<Finding>& findings);
void CheckPolicies(const Objects& objects, std::vector<Finding>& findings);

}  // namespace portolan::ctl::analyze
