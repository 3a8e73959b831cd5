// The functions of a Go template: which there are and what they take. At load; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dns/plugins/go_template_tree.h"
#include "dns/plugins/rewrite_names.h"

namespace portolan::dns::go_template {

std::vector<std::string_view> AllFunctions();

// Text, a number or a bool: not all of the data, a message or the like.
bool IsPlain(Type type);

// REQUIRES: `name` is one of AllFunctions. An error says what the function takes.
absl::StatusOr<Expression> MakeCall(std::string_view name, std::vector<Expression> arguments,
                                    const std::vector<NamePattern>& patterns);

// .Group.NAME, which must be in one of `patterns`. Groups have their numbers as names too.
absl::StatusOr<Expression> MakeGroup(const std::string& name,
                                     const std::vector<NamePattern>& patterns);

}  // namespace portolan::dns::go_template
