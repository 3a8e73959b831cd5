#include "common/event_loop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "common/fd.h"

namespace portolan {
namespace {

TEST(EventLoop, RunsPostedTasksInOrderOnItsThread) {
  EventLoop loop;
  std::string order;
  std::thread::id ran_on;
  std::thread runner([&] { loop.Run(); });
  loop.Post([&] { order += "a"; });
  loop.Post([&] {
    order += "b";
    ran_on = std::this_thread::get_id();
  });
  loop.Stop();
  const std::thread::id expected = runner.get_id();
  runner.join();
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(ran_on, expected);
}

TEST(EventLoop, SleepsThroughNoTaskHoweverManyThreadsPost) {
  constexpr int kThreads = 4, kTasks = 2000;
  EventLoop loop;
  int run = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kTasks; ++i) {
        // Each posts another from the loop itself.
        loop.Post([&] {
          if (++run == kThreads * kTasks * 2) loop.Stop();
          loop.Post([&] {
            if (++run == kThreads * kTasks * 2) loop.Stop();
          });
        });
        // Now and then the loop has nothing to do and waits.
        if (i % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  loop.Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(run, kThreads * kTasks * 2);
}

TEST(EventLoop, TimersFireOnceAndCanBeCancelled) {
  EventLoop loop;
  int fired = 0;
  EventLoop::Timer cancelled = loop.AddTimer([&] { fired += 100; });
  EventLoop::Timer once = loop.AddTimer([&] { ++fired; });
  EventLoop::Timer end = loop.AddTimer([&] { loop.Stop(); });
  cancelled.Start(absl::Milliseconds(1));
  cancelled.Cancel();
  once.Start(absl::Milliseconds(1));
  end.Start(absl::Milliseconds(20));
  loop.Run();
  EXPECT_EQ(fired, 1);
}

TEST(EventLoop, WatchesReportReadiness) {
  EventLoop loop;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  Fd reader(ends[0]), writer(ends[1]);
  char got = 0;
  EventLoop::Watch watch = loop.AddWatch(reader.get(), EventLoop::Interest::kRead, [&] {
    ASSERT_EQ(read(reader.get(), &got, 1), 1);
    loop.Stop();
  });
  ASSERT_EQ(write(writer.get(), "x", 1), 1);
  loop.Run();
  EXPECT_EQ(got, 'x');
}

TEST(EventLoop, WhatWasPostedBeforeRunComesBeforeASocketThatIsReady) {
  EventLoop loop;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  Fd reader(ends[0]), writer(ends[1]);
  std::string order;
  EventLoop::Watch watch = loop.AddWatch(reader.get(), EventLoop::Interest::kRead, [&] {
    order += "socket";
    loop.Stop();
  });
  ASSERT_EQ(write(writer.get(), "x", 1), 1);
  loop.Post([&] { order += "posted "; });
  loop.Run();
  EXPECT_EQ(order.substr(0, 13), "posted socket");
}

TEST(EventLoop, AStopBeforeRunEndsItAtOnceAndOnlyOnce) {
  EventLoop loop;
  loop.Stop();
  loop.Run();
  EventLoop::Timer end = loop.AddTimer([&] { loop.Stop(); });
  end.Start(absl::Milliseconds(1));
  loop.Run();
}

TEST(EventLoop, DeliversSignals) {
  EventLoop loop;
  EventLoop::Watch watch = loop.AddSignal(SIGUSR1, [&] { loop.Stop(); });
  raise(SIGUSR1);
  loop.Run();
}

}  // namespace
}  // namespace portolan
