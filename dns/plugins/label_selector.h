// A Kubernetes label selector, for the arguments `labels` and `namespace_labels` of `kubernetes`.
//
//   environment in (staging, qa), tier!=cache, partition, !legacy
//
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors: =, ==,
// !=, in, notin, a key that is there, a key that is not; all of them must hold, and != and notin
// hold where the key is missing. Values; any thread; matching allocates nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "directory/model.h"
#include "dns/corefile/ast.h"

namespace portolan::dns {

class LabelSelector {
 public:
  // The expression may stand in one word or in several. Errors are Token::Error.
  static absl::StatusOr<LabelSelector> Parse(std::span<const corefile::Token> words);

  bool Matches(const LabelMap& labels) const;

 private:
  friend class LabelSelectorParser;

  enum class Operator : uint8_t { kExists, kMissing, kIn, kNotIn };
  struct Requirement {
    std::string key;
    Operator op = Operator::kExists;
    std::vector<std::string> values;  // of kIn and kNotIn
  };

  std::vector<Requirement> requirements_;
};

}  // namespace portolan::dns
