// Pipes are few, go back empty, and are closed when nobody wants them.
#include "proxy/forwarder/pipe_pool.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

namespace portolan::proxy {
namespace {

class Pipes : public testing::Test {
 protected:
  ForwarderCounters counters_;
  PipePool pool_{2, counters_};
};

TEST_F(Pipes, NoMoreThanTheLimitAreLent) {
  Pipe* first = pool_.Take();
  Pipe* second = pool_.Take();
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(pool_.Take(), nullptr);
  EXPECT_EQ(counters_.pipes_all_lent.value(), 1u);
  EXPECT_EQ(pool_.lent(), 2u);
  pool_.GiveEmpty(first);
  EXPECT_EQ(pool_.Take(), first);
  EXPECT_EQ(counters_.pipes_taken.value() - counters_.pipes_given.value(), 2u);
}

TEST_F(Pipes, OneWithBytesIsClosedAndMadeAnew) {
  Pipe* pipe = pool_.Take();
  ASSERT_EQ(write(pipe->write.get(), "left", 4), 4);
  pool_.GiveFull(pipe);
  EXPECT_EQ(pool_.open(), 0u);
  pipe = pool_.Take();
  char byte;
  EXPECT_EQ(read(pipe->read.get(), &byte, 1), -1) << "bytes of another connection";
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(Pipes, ThoseThatNobodyWantedAreClosed) {
  Pipe* first = pool_.Take();
  pool_.GiveEmpty(pool_.Take());
  pool_.GiveEmpty(first);
  pool_.Trim();
  ASSERT_EQ(pool_.open(), 2u) << "both were wanted since the last time";
  pool_.GiveEmpty(pool_.Take());
  pool_.Trim();
  EXPECT_EQ(pool_.open(), 1u) << "one was enough";
  pool_.Trim();
  EXPECT_EQ(pool_.open(), 0u);
  EXPECT_NE(pool_.Take(), nullptr);
}

TEST_F(Pipes, WithoutDescriptorsThereAreNoneAndTheKernelIsLeftAlone) {
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit none = before;
  none.rlim_cur = 0;
  setrlimit(RLIMIT_NOFILE, &none);
  Pipe* refused = pool_.Take();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(refused, nullptr);
  EXPECT_EQ(pool_.Take(), nullptr) << "not asked again at once";
  EXPECT_EQ(counters_.pipes_refused.value(), 2u);
}

}  // namespace
}  // namespace portolan::proxy
