// Takes a byte stream apart into DNS messages (RFC 1035 4.2.2: two bytes of length, then the
// message). Untrusted bytes: holds at most one message and a read beyond it. One thread.
//
//   std::span<uint8_t> room = frames.Room();
//   frames.Filled(read(fd, room.data(), room.size()));
//   for (std::span<const uint8_t> message; frames.Next(message);) { ... }
//   if (frames.broken()) ...  // close: nothing after this can be understood
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace portolan::dns::upstream {

class Framing {
 public:
  static constexpr size_t kReadBytes = 4096;

  // Where the next bytes of the stream go. Ends the life of messages handed out.
  std::span<uint8_t> Room();
  void Filled(size_t bytes) { end_ += bytes; }

  // The next whole message, valid until Room.
  bool Next(std::span<const uint8_t>& message);

  // A length too short for a header came.
  bool broken() const { return broken_; }

 private:
  std::vector<uint8_t> bytes_;
  size_t begin_ = 0, end_ = 0;
  bool broken_ = false;
};

}  // namespace portolan::dns::upstream
