#include "common/token_file.h"

#include <gmock/gmock.h>

#include "common/status.h"
#include "tests/common/certificates.h"

namespace portolan {
namespace {

TEST(TokenFile, IsReadWithoutWhatSurroundsTheToken) {
  test::PemFiles files;
  const auto token = ReadToken(files.WriteText("token", "  eyJ.a-b_c.d\r\n"));
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_EQ(*token, "eyJ.a-b_c.d");
}

TEST(TokenFile, WhatNoHeaderCanCarryIsAnErrorThatNamesTheFile) {
  test::PemFiles files;
  const auto fault = [&](const std::string& text) {
    return std::string(Message(ReadToken(files.WriteText("token", text)).status()));
  };
  const std::string path = files.folder() + "/token";
  EXPECT_EQ(fault(" \n"), path + ": is empty, not a token");
  EXPECT_EQ(fault("a\r\nX-Injected: b"), path + ": is no token: a blank or control character");
  EXPECT_EQ(fault(std::string(65537, 'a')), path + ": larger than 65536 bytes");
  EXPECT_EQ(Message(ReadToken("/none").status()), "/none: No such file or directory");
}

}  // namespace
}  // namespace portolan
