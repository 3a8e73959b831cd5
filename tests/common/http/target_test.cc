#include "common/http/target.h"

#include <gtest/gtest.h>

namespace portolan::http {
namespace {

TEST(Target, DecodesPathAndQuery) {
  const auto target = ParseTarget("/a%2Fb+c/%C3%A9?k%3D=v%26&empty=&flag&&k=2");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/a/b+c/\xC3\xA9");
  const QueryParameters expected{{"k=", "v&"}, {"empty", ""}, {"flag", ""}, {"k", "2"}};
  EXPECT_EQ(target->query, expected);
}

TEST(Target, AbsoluteFormWithoutPathIsTheRoot) {
  const auto target = ParseTarget("HTTP://host?x=1");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/");
  EXPECT_EQ(target->authority, "host");
  EXPECT_EQ(target->query.size(), 1u);
}

TEST(Target, RefusesOtherFormsAndBrokenEscapes) {
  for (const char* bad : {"", "*", "a:1", "x", "http://", "http:///x", "http://u@h/", "/%", "/%1",
                          "/%zz", "/a b", "/#f", "/.", "/./", "/..", "/a/..", "/?%0", "/%00"}) {
    EXPECT_FALSE(ParseTarget(bad)) << bad;
  }
  EXPECT_TRUE(ParseTarget("/..."));
  EXPECT_TRUE(ParseTarget("/.a/b."));
}

TEST(HostField, OnlyLiteralsAndLocalhostNameThisMachine) {
  for (const char* good : {"127.0.0.1", "127.0.0.1:15000", "[::1]", "[::1]:80", "localhost",
                           "LocalHost:15000", "10.0.0.1"}) {
    EXPECT_TRUE(IsLiteralOrLocalhost(good)) << good;
  }
  for (const char* bad :
       {"", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1:x",
        "127.0.0.1:123456", "::1", "[127.0.0.1]", "[::1", "[]", "localhost:80:80", "1.2.3"}) {
    EXPECT_FALSE(IsLiteralOrLocalhost(bad)) << bad;
  }
}

}  // namespace
}  // namespace portolan::http
