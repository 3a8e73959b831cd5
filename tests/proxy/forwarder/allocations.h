// Counts the heap allocations of one thread. Linked into a binary of its own, as it replaces
// operator new and, once asked to, libevent's allocator.
#pragma once

#include <cstdint>

namespace portolan::proxy {

// Before any event loop is made.
void CountLibeventToo();

// Of the calling thread.
void StartCounting();
uint64_t StopCounting();  // how many there were

}  // namespace portolan::proxy
