#include "common/line_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>

#include "common/fd.h"

namespace portolan {
namespace {

TEST(ByteRing, GivesBackWhatWasWrittenInOrder) {
  ByteRing ring(16);
  std::array<char, 5> out;
  std::string written, read;
  for (int i = 0; i < 100; ++i) {
    const std::string text = std::to_string(i) + ",";
    ASSERT_TRUE(ring.Write(text));
    written += text;
    while (const size_t bytes = ring.Read(out)) read.append(out.data(), bytes);
  }
  EXPECT_EQ(read, written);
}

TEST(ByteRing, RefusesWholeWhatDoesNotFit) {
  ByteRing ring(8);
  EXPECT_TRUE(ring.Write("12345"));
  EXPECT_FALSE(ring.Write("6789"));
  EXPECT_TRUE(ring.Write("678"));
  std::array<char, 9> out;
  EXPECT_EQ(std::string(out.data(), ring.Read(out)), "12345678");
}

// Both ends of a pipe.
struct Pipe {
  Pipe() {
    int fds[2];
    EXPECT_EQ(pipe(fds), 0);
    read = Fd(fds[0]);
    write = Fd(fds[1]);
  }
  std::string ReadAll() {
    write.Reset();
    std::string all;
    std::array<char, 4096> text;
    for (ssize_t n; (n = ::read(read.get(), text.data(), text.size())) > 0;) {
      all.append(text.data(), static_cast<size_t>(n));
    }
    return all;
  }
  Fd read, write;
};

TEST(LineOutput, WritesWhatIsLeftWhenItEnds) {
  Pipe pipe;
  {
    LineOutput output(pipe.write.get());
    const auto first = output.Open();
    EXPECT_TRUE(first->Write("one\n"));
    auto second = output.Open();
    EXPECT_TRUE(second->Write("two\n"));
    second.reset();
  }
  const std::string all = pipe.ReadAll();
  EXPECT_TRUE(all == "one\ntwo\n" || all == "two\none\n") << all;
}

TEST(LineOutput, AWriterWhoseReaderStandsStillIsRefusedAndDoesNotWait) {
  Pipe pipe;
  LineOutput output(pipe.write.get());
  const auto writer = output.Open();
  const std::string line(999, 'x');
  int lines = 0;
  while (lines < 10000 && writer->Write(line)) ++lines;
  EXPECT_LT(lines, 10000);
}

TEST(LineOutput, WhatADiskThatIsFullDoesNotTakeIsCounted) {
  const Fd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  LineOutput output(full.get());
  output.Open()->Write("a line\n");
  while (output.lost_bytes() == 0) std::this_thread::yield();
  EXPECT_EQ(output.lost_bytes(), 7u);
}

}  // namespace
}  // namespace portolan
