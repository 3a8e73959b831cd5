// What a real API server sent, for tests: tests/kubernetes/recordings/README.md.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "common/files.h"

namespace portolan::test {

// "watches/01-services.ndjson". Unit tests run in tests/.
inline std::string Recording(const std::string& name) {
  auto text = ReadFile("kubernetes/recordings/" + name, 1u << 20);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *std::move(text) : std::string();
}

inline std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace portolan::test
