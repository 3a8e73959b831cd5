#include "tests/proxy/forwarder/allocations.h"

#include <event2/event.h>

#include <cstdlib>
#include <new>

namespace {

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

void CountLibeventToo() {
  event_set_mem_functions([](size_t size) { return Count(std::malloc(size)); },
                          [](void* block, size_t size) { return Count(std::realloc(block, size)); },
                          std::free);
}

void StartCounting() {
  allocations = 0;
  counting = true;
}

uint64_t StopCounting() {
  counting = false;
  return allocations;
}

}  // namespace portolan::proxy
