#include "dns/upstream/framing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/dns/question.h"

namespace portolan::dns::upstream {
namespace {

using test::Append16;
using test::Bytes;

Bytes Framed(size_t bytes, uint8_t fill) {
  Bytes out;
  Append16(out, static_cast<uint16_t>(bytes));
  out.resize(out.size() + bytes, fill);
  return out;
}

// The lengths of the messages in `stream`, given in pieces of at most `piece` bytes.
std::vector<size_t> Lengths(const Bytes& stream, size_t piece, bool* broken = nullptr) {
  Framing frames;
  std::vector<size_t> lengths;
  for (size_t at = 0; at < stream.size();) {
    const auto room = frames.Room();
    const size_t n = std::min({piece, room.size(), stream.size() - at});
    std::copy_n(stream.begin() + static_cast<ptrdiff_t>(at), n, room.begin());
    frames.Filled(n);
    at += n;
    for (std::span<const uint8_t> message; frames.Next(message);) {
      EXPECT_EQ(message.front(), message.back());
      lengths.push_back(message.size());
    }
  }
  if (broken != nullptr) *broken = frames.broken();
  return lengths;
}

TEST(Framing, GivesWholeMessagesHoweverTheStreamIsCut) {
  Bytes stream = Framed(12, 1);
  for (const Bytes& next : {Framed(5000, 2), Framed(65535, 3), Framed(13, 4)}) {
    stream.insert(stream.end(), next.begin(), next.end());
  }
  const std::vector<size_t> lengths = {12, 5000, 65535, 13};
  for (const size_t piece : {size_t{1}, size_t{3}, size_t{4096}}) {
    EXPECT_EQ(Lengths(stream, piece), lengths);
  }
}

TEST(Framing, ALengthTooShortForAHeaderEndsTheStream) {
  bool broken = false;
  Bytes stream = Framed(12, 1);
  for (const Bytes& next : {Framed(11, 2), Framed(12, 3)}) {
    stream.insert(stream.end(), next.begin(), next.end());
  }
  EXPECT_EQ(Lengths(stream, 4096, &broken), std::vector<size_t>{12});
  EXPECT_TRUE(broken);
}

}  // namespace
}  // namespace portolan::dns::upstream
