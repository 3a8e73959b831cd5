#include "common/command.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "common/files.h"
#include "common/status.h"
#include "tests/common/certificates.h"

namespace portolan {
namespace {

class CommandTest : public ::testing::Test {
 protected:
  // Of a shell script, run to its end.
  absl::StatusOr<std::string> Run(const std::string& script, Command::Options options = {}) {
    options.argv = {"sh", "-c", script};
    return Run(options);
  }
  absl::StatusOr<std::string> Run(Command::Options options) {
    absl::StatusOr<std::string> result;
    std::unique_ptr<Command> command;
    command = std::make_unique<Command>(loop, std::move(options), [&](auto printed) {
      result = std::move(printed);
      command.reset();
      loop.Stop();
    });
    loop.Run();
    return result;
  }
  std::string Fault(const std::string& script, Command::Options options = {}) {
    return std::string(Message(Run(script, std::move(options)).status()));
  }

  EventLoop loop;
};

TEST_F(CommandTest, GivesWhatWasPrinted) {
  EXPECT_EQ(*Run("printf one; printf 'not this' >&2; printf two"), "onetwo");
  EXPECT_EQ(Run("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done")->size(),
            220000u);
}

TEST_F(CommandTest, TheEnvironmentIsOursAndMore) {
  setenv("PORTOLAN_A", "ours", 1);
  setenv("PORTOLAN_B", "ours", 1);
  EXPECT_EQ(*Run("printf \"$PORTOLAN_A $PORTOLAN_B\"", {.env = {{"PORTOLAN_B", "more"}}}),
            "ours more");
}

TEST_F(CommandTest, StandardInputIsEmpty) { EXPECT_EQ(*Run("cat; printf done"), "done"); }

TEST_F(CommandTest, AFailureIsSaidInTheProgramsLastWords) {
  EXPECT_EQ(Fault("echo first >&2; echo 'not logged in' >&2; exit 3"),
            "sh: exit status 3: not logged in");
  EXPECT_EQ(Fault("kill -9 $$"), "sh: signal 9");
}

TEST_F(CommandTest, AProgramThatIsNotThereIsNotFound) {
  const auto result = Run(Command::Options{.argv = {"no-such-program"}});
  EXPECT_TRUE(absl::IsNotFound(result.status()));
  EXPECT_EQ(Message(result.status()), "no-such-program: no such program");
}

TEST_F(CommandTest, WhatPrintsWithoutEndIsRefused) {
  EXPECT_EQ(Fault("head -c 1000000 /dev/zero", {.max_output_bytes = 1000}),
            "sh: prints more than 1000 bytes");
}

// The second program holds the pipes open.
TEST_F(CommandTest, ItEndsWithTheProgramAndNotWithWhatThatStarted) {
  EXPECT_EQ(*Run("sleep 1000 & printf here"), "here");
}

TEST_F(CommandTest, OneThatTakesTooLongIsKilledAndWhatItStartedToo) {
  portolan::test::PemFiles files;
  const std::string pid_file = files.folder() + "/pid";
  EXPECT_EQ(
      Fault("sleep 1000 & echo $! > " + pid_file + "; wait", {.timeout = absl::Milliseconds(300)}),
      "sh: not done within 300ms");
  const std::string pid = *ReadFile(pid_file, 100);
  const auto is_gone = [&] {
    const auto stat = ReadFile("/proc/" + pid.substr(0, pid.size() - 1) + "/stat", 4096);
    return !stat.ok() || stat->find(") Z") != std::string::npos;
  };
  for (int i = 0; i < 500 && !is_gone(); ++i) usleep(10'000);
  EXPECT_TRUE(is_gone());
}

}  // namespace
}  // namespace portolan
