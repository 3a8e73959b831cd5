// Bytes and ends of streams: nothing lost, nothing reordered, everything carried through.
#include "proxy/forwarder/relay.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/proxy/forwarder/loopback.h"

namespace portolan::proxy {
namespace {

// Bytes that tell where they stand in the stream, so that loss and reordering show.
class Stream {
 public:
  explicit Stream(uint64_t seed) : random_(seed) {}

  std::string Next(size_t size) {
    std::string bytes(size, '\0');
    size_t at = 0;
    for (; at + 8 <= size; at += 8) {
      const uint64_t word = random_();
      memcpy(bytes.data() + at, &word, 8);
    }
    return bytes;
  }

 private:
  std::mt19937_64 random_;
};

constexpr size_t kChunk = 64 * 1024;

void SendStream(const Fd& fd, uint64_t seed, size_t total) {
  Stream stream(seed);
  for (size_t sent = 0; sent < total; sent += kChunk) {
    ASSERT_TRUE(SendAll(fd, stream.Next(kChunk))) << strerror(errno) << " at " << sent;
  }
  shutdown(fd.get(), SHUT_WR);
}

void ExpectStream(const Fd& fd, uint64_t seed, size_t total) {
  Stream stream(seed);
  for (size_t got = 0; got < total; got += kChunk) {
    ASSERT_TRUE(Receive(fd, kChunk) == stream.Next(kChunk)) << "differs at " << got;
  }
  EXPECT_EQ(Receive(fd, 1), "") << "more came than was sent";
}

class Relaying : public ForwarderTest {
 protected:
  void Join(ForwarderOptions options = {}) {
    StartForwarder(std::move(options));
    Serve({endpoint_.address()});
    client_ = Call();
    server_ = endpoint_.Accept();
    ASSERT_TRUE(Eventually([&] { return counters_->forwarded.value() == 1; }));
  }

  void ExchangeStreams(size_t total) {
    std::thread up([&] { SendStream(client_, 1, total); });
    std::thread down([&] { SendStream(server_, 2, total); });
    std::thread client([&] { ExpectStream(client_, 2, total); });
    ExpectStream(server_, 1, total);
    for (std::thread* thread : {&up, &down, &client}) thread->join();
    EXPECT_TRUE(AllGone());
    EXPECT_EQ(counters_->closed.value(), 1u);
    EXPECT_EQ(counters_->bytes_up.value(), total);
    EXPECT_EQ(counters_->bytes_down.value(), total);
    EXPECT_EQ(OnLoop([&] { return forwarder_->buffers_in_use(); }), 0u);
    EXPECT_EQ(OnLoop([&] { return forwarder_->pipes_in_use(); }), 0u);
  }

  // One short message each way.
  void ExchangeShort(int number) {
    const std::string message = "message " + std::to_string(number);
    ASSERT_TRUE(SendAll(client_, message));
    ASSERT_EQ(Receive(server_, message.size()), message);
    ASSERT_TRUE(SendAll(server_, message));
    ASSERT_EQ(Receive(client_, message.size()), message);
  }

  // Both at once, with no end of stream.
  void ExchangeBulk(uint64_t seed, size_t size) {
    const std::string up = Stream(seed).Next(size);
    const std::string down = Stream(seed + 1).Next(size);
    std::thread client([&] { EXPECT_TRUE(SendAll(client_, up)); });
    std::thread server([&] { EXPECT_TRUE(SendAll(server_, down)); });
    std::thread client_reader([&] { EXPECT_TRUE(Receive(client_, size) == down); });
    EXPECT_TRUE(Receive(server_, size) == up);
    for (std::thread* thread : {&client, &server, &client_reader}) thread->join();
  }

  // The urgent byte, and nothing of what is around it.
  void ExpectUrgentDataToBeLeftOut(size_t around) {
    const std::string before(around, 'b');
    const std::string after(around, 'a');
    std::thread sender([&] {
      EXPECT_TRUE(SendAll(client_, before));
      EXPECT_EQ(send(client_.get(), "!", 1, MSG_OOB), 1);
      EXPECT_TRUE(SendAll(client_, after));
    });
    EXPECT_TRUE(Receive(server_, 2 * around) == before + after);
    sender.join();
  }

  // Sends until nobody takes any more; how much it was.
  static size_t FillUp(const Fd& fd) {
    const std::string chunk(kChunk, 'x');
    size_t sent = 0;
    for (int idle = 0; idle < 20;) {
      const ssize_t n = send(fd.get(), chunk.data(), chunk.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) {
        sent += n;
        idle = 0;
      } else {
        ++idle;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    }
    return sent;
  }

  Endpoint endpoint_;
  Fd client_;
  Fd server_;
};

TEST_F(Relaying, TheClientMayEndItsStreamAndStillBeAnswered) {
  Join();
  EXPECT_TRUE(SendAll(client_, "request"));
  shutdown(client_.get(), SHUT_WR);
  const Received request = ReceiveAll(server_);
  EXPECT_EQ(request.bytes, "request");
  EXPECT_EQ(request.error, 0) << "the end of the stream did not come through";
  EXPECT_TRUE(SendAll(server_, "answer"));
  server_.Reset();
  const Received answer = ReceiveAll(client_);
  EXPECT_EQ(answer.bytes, "answer");
  EXPECT_EQ(answer.error, 0);
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->closed.value(), 1u);
}

TEST_F(Relaying, TheEndpointMayEndItsStreamAndStillListen) {
  Join();
  EXPECT_TRUE(SendAll(server_, "all I have to say"));
  shutdown(server_.get(), SHUT_WR);
  const Received speech = ReceiveAll(client_);
  EXPECT_EQ(speech.bytes, "all I have to say");
  EXPECT_EQ(speech.error, 0) << "the end of the stream did not come through";
  EXPECT_TRUE(SendAll(client_, "noted"));
  EXPECT_EQ(Receive(server_, 5), "noted");
  client_.Reset();
  EXPECT_EQ(ReceiveAll(server_).error, 0);
  EXPECT_TRUE(AllGone());
}

TEST_F(Relaying, WhatTheClientSendsBeforeTheEndpointAnswersIsNotLost) {
  StartForwarder();
  Serve({endpoint_.address()});
  client_ = Call();
  EXPECT_TRUE(SendAll(client_, "early"));
  client_.Reset();
  server_ = endpoint_.Accept();
  EXPECT_EQ(ReceiveAll(server_).bytes, "early");
}

TEST_F(Relaying, SixtyFourMegabytesEachWayAtOnceArriveUnchanged) {
  Join();
  ExchangeStreams(64 * 1024 * 1024);
  EXPECT_GT(counters_->bytes_spliced.value(), 0u) << "bulk is spliced";
}

TEST_F(Relaying, ShortMessagesAreCopiedAndBulkIsSplicedAsItComes) {
  Join();
  uint64_t spliced = 0;
  for (uint64_t phase = 0; phase < 6; ++phase) {
    for (int i = 0; i < 50; ++i) ExchangeShort(i);
    EXPECT_EQ(counters_->bytes_spliced.value(), spliced) << "short messages wait for no pipe";
    EXPECT_EQ(OnLoop([&] { return forwarder_->pipes_in_use(); }), 0u);
    ExchangeBulk(phase, 8 * 1024 * 1024 + 12345);
    // So that what the last bytes of bulk left behind is gone.
    for (int i = 0; i < 50; ++i) ExchangeShort(i);
    EXPECT_GT(counters_->bytes_spliced.value(), spliced) << "bulk is spliced, phase " << phase;
    spliced = counters_->bytes_spliced.value();
  }
}

TEST_F(Relaying, WhatFollowsUrgentDataIsNotHeldUp) {
  Join();
  ExpectUrgentDataToBeLeftOut(10);
}

TEST_F(Relaying, WhatFollowsUrgentDataIsNotHeldUpInBulk) {
  Join();
  ExchangeBulk(1, 8 * 1024 * 1024);
  ExpectUrgentDataToBeLeftOut(4 * 1024 * 1024);
}

TEST_F(Relaying, GoesOnWithoutAnyPipe) {
  Join({.max_pipes = 0});
  ExchangeStreams(16 * 1024 * 1024);
  EXPECT_EQ(counters_->bytes_spliced.value(), 0u);
  EXPECT_GT(counters_->pipes_all_lent.value(), 0u);
}

TEST_F(Relaying, GoesOnWithoutAnyPipeOrBuffer) {
  Join({.max_buffers = 0, .max_pipes = 0});
  ExchangeStreams(16 * 1024 * 1024);
}

TEST_F(Relaying, GoesOnWithoutAnyBuffer) {
  Join({.max_buffers = 0});
  ExchangeStreams(16 * 1024 * 1024);
  EXPECT_GT(counters_->buffers_exhausted.value(), 0u);
}

TEST_F(Relaying, ASlowReaderCostsOneBufferAndSlowsTheSenderDown) {
  Join();
  const size_t sent = FillUp(client_);
  EXPECT_LE(OnLoop([&] { return forwarder_->buffers_in_use(); }), 1u);
  EXPECT_LT(sent, 64u * 1024 * 1024) << "the sender was not slowed down";
  // The other direction is not held up.
  EXPECT_TRUE(SendAll(server_, "wait"));
  EXPECT_EQ(Receive(client_, 4), "wait");
  shutdown(client_.get(), SHUT_WR);
  EXPECT_EQ(ReceiveAll(server_).bytes.size(), sent);
  EXPECT_EQ(OnLoop([&] { return forwarder_->buffers_in_use(); }), 0u);
}

TEST_F(Relaying, ASlowReaderOfBulkCostsOnePipe) {
  Join();
  ExchangeBulk(1, 8 * 1024 * 1024);
  const size_t sent = FillUp(client_);
  EXPECT_EQ(OnLoop([&] { return forwarder_->pipes_in_use(); }), 1u);
  EXPECT_TRUE(SendAll(server_, "wait"));
  EXPECT_EQ(Receive(client_, 4), "wait");
  shutdown(client_.get(), SHUT_WR);
  EXPECT_EQ(ReceiveAll(server_).bytes.size(), sent);
  EXPECT_EQ(OnLoop([&] { return forwarder_->pipes_in_use(); }), 0u);
}

TEST_F(Relaying, APipeWithBytesOfABrokenConnectionIsNotUsedAgain) {
  Join();
  ExchangeBulk(1, 8 * 1024 * 1024);
  FillUp(client_);
  ASSERT_EQ(OnLoop([&] { return forwarder_->pipes_in_use(); }), 1u);
  ResetAndClose(client_);
  ASSERT_TRUE(AllGone());
  EXPECT_EQ(OnLoop([&] { return forwarder_->pipes_in_use(); }), 0u);
  client_ = Call();
  server_ = endpoint_.Accept();
  const uint64_t spliced = counters_->bytes_spliced.value();
  ExchangeBulk(2, 8 * 1024 * 1024);
  EXPECT_GT(counters_->bytes_spliced.value(), spliced);
}

TEST_F(Relaying, AResetOfTheEndpointInTheMiddleOfBulkResetsTheClient) {
  Join();
  ExchangeBulk(1, 8 * 1024 * 1024);
  FillUp(client_);
  ResetAndClose(server_);
  EXPECT_EQ(ReceiveAll(client_).error, ECONNRESET);
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->reset_by_endpoint.value(), 1u);
  EXPECT_EQ(OnLoop([&] { return forwarder_->pipes_in_use(); }), 0u);
}

TEST_F(Relaying, AResetByTheClientResetsTheEndpoint) {
  Join();
  ResetAndClose(client_);
  EXPECT_EQ(ReceiveAll(server_).error, ECONNRESET);
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->reset_by_client.value(), 1u);
}

TEST_F(Relaying, AResetByTheEndpointResetsTheClient) {
  Join();
  ResetAndClose(server_);
  EXPECT_EQ(ReceiveAll(client_).error, ECONNRESET);
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->reset_by_endpoint.value(), 1u);
}

TEST_F(Relaying, AResetIsSeenAlsoWhileTheOtherSideDoesNotRead) {
  Join();
  FillUp(client_);
  ResetAndClose(client_);
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->reset_by_client.value(), 1u);
  EXPECT_EQ(ReceiveAll(server_).error, ECONNRESET);
}

TEST_F(Relaying, AResetIsSeenAlsoAfterTheStreamEnded) {
  Join();
  shutdown(server_.get(), SHUT_WR);
  EXPECT_EQ(ReceiveAll(client_).error, 0);
  ResetAndClose(server_);
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->reset_by_endpoint.value(), 1u);
}

TEST_F(Relaying, AnAnswerBeforeAResetStillArrives) {
  Join();
  // Unread bytes make the server's close a reset, as with a server that refuses a long upload.
  EXPECT_TRUE(SendAll(client_, std::string(kChunk, 'x')));
  ASSERT_TRUE(Eventually([&] { return counters_->bytes_up.value() == kChunk; }));
  EXPECT_TRUE(SendAll(server_, "413"));
  server_.Reset();
  const Received answer = ReceiveAll(client_);
  EXPECT_EQ(answer.bytes, "413");
  EXPECT_EQ(answer.error, ECONNRESET) << "not to be taken for a clean end";
}

// A Relay by itself, between two pairs of local sockets that hold only a few KB.
class BareRelay : public testing::Test {
 protected:
  void SetUp() override {
    MakePair(client_, client_side_);
    MakePair(endpoint_, endpoint_side_);
    relay_.Start(client_side_.get(), endpoint_side_.get());
    relay_.OnReady(Relay::Side::kClient, Relay::kBoth);
    relay_.OnReady(Relay::Side::kEndpoint, Relay::kBoth);
  }
  void TearDown() override {
    relay_.Release(*workspace_);
    EXPECT_EQ(workspace_->buffers.lent(), 0u);
  }

  static void MakePair(Fd& outer, Fd& inner) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    outer = Fd(ends[0]);
    inner = Fd(ends[1]);
    const int small = 1;  // the kernel makes the least it has of it
    setsockopt(inner.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  }

  Relay::Progress RunWith(Relay::Side side, Relay::Readiness what) {
    relay_.OnReady(side, what);
    return relay_.Run(*workspace_);
  }

  static std::string Take(const Fd& fd, size_t at_most) {
    std::string bytes(at_most, '\0');
    const ssize_t n = recv(fd.get(), bytes.data(), at_most, 0);
    bytes.resize(std::max<ssize_t>(n, 0));
    return bytes;
  }

  ForwarderCounters counters_;
  std::unique_ptr<RelayWorkspace> workspace_{new RelayWorkspace{.scratch = {},
                                                                .buffers = BufferPool(4),
                                                                .pipes = PipePool(4, counters_),
                                                                .counters = counters_}};
  Fd client_, client_side_, endpoint_, endpoint_side_;
  Relay relay_;
};

TEST_F(BareRelay, WritesWhatItKeptPieceByPiece) {
  const std::string sent = Stream(1).Next(100'000);
  std::string_view to_send = sent;
  std::string got;
  size_t pieces = 0;
  while (got.size() < sent.size()) {
    const ssize_t n = send(client_.get(), to_send.data(), to_send.size(), 0);
    to_send.remove_prefix(std::max<ssize_t>(n, 0));
    ASSERT_EQ(RunWith(Relay::Side::kClient, Relay::Readiness::kRead), Relay::Progress::kWaiting);
    ASSERT_EQ(RunWith(Relay::Side::kEndpoint, Relay::Readiness::kWrite), Relay::Progress::kWaiting);
    EXPECT_LE(workspace_->buffers.lent(), 1u);
    const std::string piece = Take(endpoint_, 1000);
    ASSERT_FALSE(piece.empty());
    got += piece;
    ++pieces;
  }
  EXPECT_TRUE(got == sent);
  EXPECT_EQ(relay_.bytes_up(), sent.size());
  EXPECT_GE(pieces, 100u);
}

TEST_F(BareRelay, AnAnswerBeforeAFailedWriteArrivesAndIsNoCleanEnd) {
  ASSERT_TRUE(SendAll(endpoint_, "413"));
  endpoint_.Reset();
  ASSERT_TRUE(SendAll(client_, "more of the upload"));
  EXPECT_EQ(RunWith(Relay::Side::kClient, Relay::Readiness::kRead),
            Relay::Progress::kResetByEndpoint);
  EXPECT_EQ(Take(client_, 100), "413");
  EXPECT_EQ(recv(client_.get(), workspace_->scratch.data(), 1, 0), -1) << "no end of stream";
}

}  // namespace
}  // namespace portolan::proxy
