// Tells ThreadSanitizer that an object goes from one thread to another inside a library that is not
// instrumented. gRPC promises that what happens before an operation is started happens before its
// reaction, and that reactions of one kind follow each other; seen from outside, that is a race.
// Nothing at all in other builds.
//
// Only for what a library's contract promises: where two threads meet in our own code, it takes a
// lock or a task posted to a loop.
#pragma once

#ifdef _GLIBCXX_TSAN  // of cmake/compiler.cmake
#include <sanitizer/tsan_interface.h>
#endif

namespace portolan {

// What this thread did so far is known to whoever takes `object` over.
inline void HandOver([[maybe_unused]] void* object) {
#ifdef _GLIBCXX_TSAN
  __tsan_release(object);
#endif
}

inline void TakeOver([[maybe_unused]] void* object) {
#ifdef _GLIBCXX_TSAN
  __tsan_acquire(object);
#endif
}

// As long as a reaction runs that is not the last one of its object.
class Reaction {
 public:
  explicit Reaction(void* object) : object_(object) { TakeOver(object_); }
  ~Reaction() { HandOver(object_); }
  Reaction(const Reaction&) = delete;
  Reaction& operator=(const Reaction&) = delete;

 private:
  void* const object_;
};

}  // namespace portolan
