#include "ctl/screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace portolan::ctl {
namespace {

TEST(Screen, WithoutATerminalOnlyNewLinesAreWritten) {
  Screen screen({});
  EXPECT_EQ(screen.Next("NAME\na 1\nb 1\n"), "NAME\na 1\nb 1\n");
  EXPECT_EQ(screen.Next("NAME\na 1\nb 2\n"), "b 2\n");
  EXPECT_EQ(screen.Next("NAME\na 1\nb 2\n"), "");
}

TEST(Screen, OnATerminalTheNewestStandsInThePlaceOfTheLast) {
  Screen screen({.height = 10});
  EXPECT_EQ(screen.Next("a\n"), "\x1b[?25l\x1b[2J\x1b[Ha\x1b[K\r\n\x1b[J");
  EXPECT_EQ(screen.Next("b\n"), "\x1b[Hb\x1b[K\r\n\x1b[J");
}

TEST(Screen, WhatDoesNotFitIsCounted) {
  Screen screen({.height = 3});
  EXPECT_THAT(screen.Next("a\nb\nc\nd\n"), ::testing::HasSubstr("a\x1b[K\r\n\u2026 3 more lines"));
}

TEST(Screen, ATerminalOfALineOrTwoHasRoomForTheCountAlone) {
  for (const size_t height : {1, 2}) {
    Screen screen({.height = height});
    EXPECT_EQ(screen.Next("a\nb\n"), "\x1b[?25l\x1b[2J\x1b[H\u2026 2 more lines\x1b[K\r\n\x1b[J");
  }
}

}  // namespace
}  // namespace portolan::ctl
