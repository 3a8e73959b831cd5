#include "proxy/pod_sockets.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/proxy/feed/temp_dir.h"

namespace portolan::proxy {
namespace {

constexpr uid_t kOwn = 1337;
constexpr char kHead[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n";
// As Linux 6.1 writes them: state, uid and inode differ.
std::string Line(const char* state, int uid, int inode) {
  char line[256];
  snprintf(line, sizeof line,
           "   0: 0100007F:1F90 0200000A:D431 %s 00000000:00000000 00:00000000 00000000 %5d        "
           "0 %d 1 00000000e107166d 100 0 0 10 0\n",
           state, uid, inode);
  return line;
}

TEST(PodSockets, ASocketOfAnotherUserCountsAlsoIfItListensAndRootsToo) {
  EXPECT_TRUE(HasSocketsOfOthers(kHead + Line("01", kOwn, 5) + Line("0A", 1000, 6), kOwn));
  EXPECT_TRUE(HasSocketsOfOthers(kHead + Line("0A", 0, 1060), kOwn));
  EXPECT_TRUE(HasSocketsOfOthers(kHead + Line("07", 65534, 7), kOwn)) << "UDP";
}

TEST(PodSockets, OurOwnAndThoseThatNobodyHoldsDoNot) {
  EXPECT_FALSE(HasSocketsOfOthers(kHead + Line("0A", kOwn, 5) + Line("01", kOwn, 6), kOwn));
  EXPECT_FALSE(HasSocketsOfOthers(kHead + Line("06", 0, 0), kOwn)) << "TIME_WAIT";
  EXPECT_FALSE(HasSocketsOfOthers(kHead + Line("04", 0, 0), kOwn)) << "closed, FIN not answered";
  EXPECT_FALSE(HasSocketsOfOthers(kHead, kOwn));
  EXPECT_FALSE(HasSocketsOfOthers("", kOwn));
  EXPECT_FALSE(HasSocketsOfOthers("no table\n\n  1 2 3\n", kOwn));
}

TEST(PodSockets, AreLookedForInAllTablesThatThereAre) {
  TempDir dir;
  EXPECT_FALSE(PodHasSocketsOfOthers(dir.path(), kOwn));
  std::ofstream(dir.path() + "/tcp") << kHead << Line("01", kOwn, 5);
  EXPECT_FALSE(PodHasSocketsOfOthers(dir.path(), kOwn));
  std::ofstream(dir.path() + "/udp6") << kHead << Line("07", 1000, 6);
  EXPECT_TRUE(PodHasSocketsOfOthers(dir.path(), kOwn));
}

}  // namespace
}  // namespace portolan::proxy
