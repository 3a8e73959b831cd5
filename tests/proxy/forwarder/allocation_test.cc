// No heap allocation while bytes flow or connections come and go. A binary of its own, as it
// replaces operator new and libevent's allocator.
#include <event2/event.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/proxy/forwarder/loopback.h"

namespace {

// Set on the forwarder's thread alone.
thread_local bool counting = false;
thread_local uint64_t allocations = 0;

void* Count(void* block) {
  if (counting) ++allocations;
  return block;
}

}  // namespace

// Not inlined: g++ 12 takes the free() that it would then see for a mismatch with operator new.
[[gnu::noinline]] void* operator new(size_t size) {
  void* block = Count(std::malloc(size));
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, size_t) noexcept { std::free(block); }

namespace portolan::proxy {
namespace {

class Allocations : public ForwarderTest {
 protected:
  static void SetUpTestSuite() {
    event_set_mem_functions(
        [](size_t size) { return Count(std::malloc(size)); },
        [](void* block, size_t size) { return Count(std::realloc(block, size)); }, std::free);
  }

  // Of the forwarder's thread while `work` runs on this one.
  template <typename F>
  uint64_t During(F&& work) {
    OnLoop([] {
      allocations = 0;
      counting = true;
    });
    work();
    return OnLoop([] {
      counting = false;
      return allocations;
    });
  }

  // Posting a task and waiting for it allocates as well.
  uint64_t DuringNothing() {
    return During([] {});
  }

  Endpoint endpoint_;
};

TEST_F(Allocations, NoneWhileBytesFlow) {
  StartForwarder();
  Serve({endpoint_.address()});
  const Fd client = Call();
  const Fd server = endpoint_.Accept();
  const std::string chunk(256 * 1024, 'x');
  const auto exchange = [&] {
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(SendAll(client, "request"));
      ASSERT_EQ(Receive(server, 7).size(), 7u);
      std::thread sender([&] { SendAll(server, chunk); });
      ASSERT_EQ(Receive(client, chunk.size()).size(), chunk.size());
      sender.join();
    }
  };
  exchange();  // once, so that what is kept for reuse is there
  EXPECT_EQ(During(exchange), DuringNothing());
}

TEST_F(Allocations, NoneWhileASlowReaderIsWaitedFor) {
  StartForwarder();
  Serve({endpoint_.address()});
  const Fd client = Call();
  const Fd server = endpoint_.Accept();
  const std::string chunk(16 * 1024 * 1024, 'x');
  const auto stall = [&] {
    std::thread sender([&] { SendAll(client, chunk); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(Receive(server, chunk.size()).size(), chunk.size());
    sender.join();
  };
  stall();
  EXPECT_EQ(During(stall), DuringNothing());
}

TEST_F(Allocations, NoneForAConnectionOnceAsManyHaveBeenOpen) {
  StartForwarder();
  Serve({endpoint_.address()});
  const auto come_and_go = [&] {
    for (int i = 0; i < 100; ++i) {
      const Fd client = Call();
      const Fd server = endpoint_.Accept();
    }
    ASSERT_TRUE(AllGone());
  };
  come_and_go();
  EXPECT_EQ(During(come_and_go), DuringNothing());
}

}  // namespace
}  // namespace portolan::proxy
