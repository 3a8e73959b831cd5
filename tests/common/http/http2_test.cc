#include "common/http/http2.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/common/http/http2_client.h"

namespace portolan::http {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Body = Http2Client::Body;

absl::Time FixedNow() { return absl::FromUnixSeconds(784111777); }  // RFC 9110's example

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// RFC 9113 4.1.
std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string frame;
  for (const int shift : {16, 8, 0}) {
    frame.push_back(static_cast<char>(payload.size() >> shift));
  }
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(stream >> shift));
  return frame.append(payload);
}
std::string Settings() { return Frame(NGHTTP2_SETTINGS, 0, 0, {}); }
// ":method: GET", ":scheme: https", ":path: /", ":authority: a" (RFC 7541).
const std::string kGetBlock = std::string("\x82\x87\x84\x41\x01", 5) + "a";

// A session whose handler echoes what it got, or answers later, and a client.
class Http2 : public ::testing::Test, public RequestSink {
 protected:
  void OnRequest(StreamId stream, Request request) override {
    streams.push_back(stream);
    const std::string line = request.method + " " + request.path + " " + request.body;
    requests.push_back(std::move(request));
    if (answer_at_once) session->Respond(stream, TextResponse(200, line));
  }

  void Restart() {
    session = std::make_unique<Http2Session>(limits, *this, FixedNow);
    streams.clear();
    requests.clear();
  }

  // As Connection does it, with a socket that takes everything.
  std::string Give(std::string_view bytes) {
    std::string out;
    session->Receive(bytes);
    do {
      out += std::exchange(session->output(), "");
      session->Receive({});
    } while (session->held_back() || !session->output().empty());
    const Session::Tally more = session->TakeTally();
    tally.malformed += more.malformed;
    tally.reset += more.reset;
    tally.refused += more.refused;
    tally.floods += more.floods;
    return out;
  }

  // Until neither has anything to say.
  void Talk(Http2Client& to) {
    while (true) {
      const std::string asked = to.TakeOutput();
      const std::string said = Give(asked);
      to.Receive(said);
      if (asked.empty() && said.empty()) return;
    }
  }
  void Talk() { Talk(client); }

  const Http2Client::Answer& Fetch(std::string_view method, std::string_view path,
                                   const std::vector<Header>& fields = {},
                                   std::optional<Body> body = {}) {
    const int32_t id = client.Ask(method, path, fields, std::move(body));
    Talk();
    return client.answer(id);
  }

  bool answer_at_once = true;
  Limits limits;
  std::vector<Request> requests;
  std::vector<StreamId> streams;
  Session::Tally tally;
  std::unique_ptr<Http2Session> session = std::make_unique<Http2Session>(limits, *this, FixedNow);
  Http2Client client;
};

TEST_F(Http2, AnswersARequestInFull) {
  const auto& answer = Fetch("GET", "/names?search=a%20b+c&x", {{"x-y", "v"}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.fields, ElementsAre(Header{"date", "Sun, 06 Nov 1994 08:49:37 GMT"},
                                         Header{"x-content-type-options", "nosniff"},
                                         Header{"content-type", "text/plain; charset=utf-8"},
                                         Header{"content-length", "12"}));
  EXPECT_EQ(answer.body, "GET /names \n");
  EXPECT_TRUE(answer.closed);
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].FindQuery("search"), "a b c");
  EXPECT_EQ(requests[0].FindHeader("x-y"), "v");
  EXPECT_EQ(requests[0].FindHeader(":path"), std::nullopt);
  EXPECT_EQ(requests[0].host, "a");
  EXPECT_EQ(session->phase(), Session::Phase::kIdle);
}

TEST_F(Http2, ReadsTheSameWhereverTheBytesAreSplit) {
  client.Post("hello");
  client.Ask("GET", "/c", {}, {});
  client.Ask("POST", "/d", {}, Body{"trailed", true, {{"checksum", "1"}}});
  const std::string stream = client.TakeOutput();
  for (size_t cut = 0; cut < stream.size(); ++cut) {
    Restart();
    Give(std::string_view(stream).substr(0, cut));
    Give(std::string_view(stream).substr(cut));
    ASSERT_EQ(requests.size(), 3u) << "cut at " << cut;
    // In the order in which they were complete.
    EXPECT_EQ(requests[0].body + requests[1].body + requests[2].body, "hellotrailed");
    for (const Request& request : requests) {
      EXPECT_EQ(request.FindHeader("checksum"), std::nullopt);  // trailers are dropped
    }
  }
}

TEST_F(Http2, ManyRequestsAreUnderWayAndAnsweredInAnyOrder) {
  answer_at_once = false;
  const int32_t one = client.Ask("GET", "/1");
  const int32_t two = client.Ask("GET", "/2");
  Talk();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(session->phase(), Session::Phase::kAnswering);
  EXPECT_EQ(session->phase_stream(), static_cast<StreamId>(one));
  session->Respond(streams[1], TextResponse(200, "two"));
  session->Respond(streams[1], TextResponse(200, "again"));  // answered already: ignored
  Talk();
  EXPECT_EQ(client.answer(two).body, "two\n");
  EXPECT_FALSE(client.answer(one).closed);
  session->Respond(streams[0], TextResponse(404, "one"));
  Talk();
  EXPECT_EQ(client.answer(one).status, 404);
  session->Respond(99, TextResponse(200, "of nobody"));  // ignored
  Talk();
}

TEST_F(Http2, ThePhaseIsThatOfTheOldestRequest) {
  EXPECT_EQ(session->phase(), Session::Phase::kHead);  // no SETTINGS yet
  Talk();
  EXPECT_EQ(session->phase(), Session::Phase::kIdle);
  answer_at_once = false;
  const int32_t body = client.Ask("POST", "/", {}, Body{"a", false, {}});
  Talk();
  EXPECT_EQ(session->phase(), Session::Phase::kBody);
  client.Ask("GET", "/");
  Talk();
  EXPECT_EQ(session->phase(), Session::Phase::kBody);
  EXPECT_EQ(session->phase_stream(), static_cast<StreamId>(body));
  client.Reset(body);
  Talk();
  EXPECT_EQ(session->phase(), Session::Phase::kAnswering);
  session->Respond(streams[0], TextResponse(200, "x"));
  Talk();
  EXPECT_EQ(session->phase(), Session::Phase::kIdle);
  EXPECT_EQ(tally.reset, 1u);
}

TEST_F(Http2, HalfAHeadIsAHead) {
  Give(std::string(kPreface) + Settings() + Frame(NGHTTP2_HEADERS, 0x01, 1, kGetBlock));
  EXPECT_EQ(session->phase(), Session::Phase::kHead);
  EXPECT_EQ(session->phase_stream(), 1u);
  session->Abort(408, "late");
  Give({});
  EXPECT_TRUE(session->finished());
}

TEST_F(Http2, HeadGetsTheFieldsOfGetWithoutABody) {
  const auto& answer = Fetch("HEAD", "/");
  EXPECT_EQ(answer.Field("content-length"), "8");
  EXPECT_EQ(answer.body, "");
  EXPECT_TRUE(answer.closed);
}

TEST_F(Http2, NotModifiedHasNoBody) {
  answer_at_once = false;
  const int32_t id = client.Ask("GET", "/");
  Talk();
  session->Respond(streams[0], TextResponse(304, "x"));
  Talk();
  EXPECT_EQ(client.answer(id).status, 304);
  EXPECT_EQ(client.answer(id).Field("content-length"), "");
  EXPECT_TRUE(client.answer(id).closed);
}

TEST_F(Http2, SendsContinueBeforeAnExpectedBody) {
  const auto& answer = Fetch("POST", "/", {{"expect", "100-continue"}}, Body{"hi", true, {}});
  EXPECT_THAT(answer.informational, ElementsAre(100));
  EXPECT_EQ(answer.body, "POST / hi\n");
  EXPECT_EQ(Fetch("POST", "/", {{"expect", "x"}}, Body{"hi", true, {}}).status, 417);
}

TEST_F(Http2, ResponseFieldsCannotBeSplitByTheirValues) {
  answer_at_once = false;
  const int32_t id = client.Ask("GET", "/");
  Talk();
  Response response = TextResponse(200, "x");
  response.headers.push_back({"X-Name", "a\r\nSet-Cookie: b"});
  session->Respond(streams[0], response);
  Talk();
  EXPECT_EQ(client.answer(id).Field("x-name"), "a  Set-Cookie: b");
}

TEST_F(Http2, ABodyOfTheLimitPassesAndOneMoreByteIsTooLarge) {
  limits.body_bytes = 3000000;
  Restart();
  EXPECT_EQ(Fetch("POST", "/", {}, Body{std::string(3000000, 'x'), true, {}}).status, 200);
  EXPECT_EQ(requests[0].body.size(), 3000000u);
  const auto& answer = Fetch("POST", "/", {}, Body{std::string(3000001, 'x'), true, {}});
  EXPECT_EQ(answer.status, 413);
  EXPECT_THAT(answer.body, HasSubstr("larger than 3000000 bytes"));
  EXPECT_TRUE(answer.closed);
  // Told before it is sent, where it is announced.
  EXPECT_EQ(Fetch("POST", "/", {{"content-length", "5000000"}}, Body{"", false, {}}).status, 413);
  EXPECT_EQ(Fetch("GET", "/").status, 200);
}

TEST_F(Http2, LargeBodiesGetThroughOneAfterTheOtherAndNoneHoldsMoreThanItsWindow) {
  limits.body_bytes = 3000000;
  limits.streams = 8;
  Restart();
  answer_at_once = false;
  std::vector<int32_t> ids;
  for (int i = 0; i < 8; ++i) ids.push_back(client.Post(std::string(3000000, 'x')));
  // All that they may send before the first is complete.
  Talk();
  EXPECT_EQ(requests.size(), 1u);
  for (size_t i = 1; i < ids.size(); ++i) {
    EXPECT_EQ(client.unsent(ids[i]), 3000000u - 65535) << i;
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    session->Respond(streams[i], TextResponse(200, "ok"));
    Talk();
    EXPECT_EQ(client.answer(ids[i]).body, "ok\n");
  }
}

TEST_F(Http2, TheWindowOfTheConnectionComesBackWhateverBecameOfTheRequests) {
  limits.body_bytes = 70000;
  limits.streams = 2;
  Restart();
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Fetch("POST", "/", {}, Body{std::string(70000, 'x'), true, {}}).status, 200);
    EXPECT_EQ(Fetch("POST", "/", {}, Body{std::string(90000, 'x'), true, {}}).status, 413);
    EXPECT_EQ(Fetch("POST", "/", {{"expect", "x"}}, Body{std::string(60000, 'x'), true, {}}).status,
              417);
    const int32_t gone = client.Ask("POST", "/", {}, Body{std::string(60000, 'x'), false, {}});
    Talk();
    client.Reset(gone);
    Talk();
  }
}

TEST_F(Http2, AnAnswerIsSentAsThePeerAllows) {
  Http2Client slow(1000);
  answer_at_once = false;
  const int32_t id = slow.Ask("GET", "/");
  Talk(slow);
  session->Respond(streams[0], TextResponse(200, std::string(5000, 'x')));
  Talk(slow);
  EXPECT_EQ(slow.answer(id).body.size(), 1000u);
  EXPECT_EQ(session->phase(), Session::Phase::kSending);
  slow.Allow(id, 3000);
  Talk(slow);
  EXPECT_EQ(slow.answer(id).body.size(), 4000u);
  slow.Allow(id, 5000);
  Talk(slow);
  EXPECT_EQ(slow.answer(id).body.size(), 5001u);
  EXPECT_TRUE(slow.answer(id).closed);
}

TEST_F(Http2, RequestsWaitWhileAnswersDo) {
  limits.output_bytes = 10000;
  Restart();
  answer_at_once = false;
  Http2Client slow(100);
  std::vector<int32_t> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(slow.Ask("GET", "/"));
  Talk(slow);
  EXPECT_EQ(streams.size(), 5u);
  for (const StreamId stream : streams) {
    session->Respond(stream, TextResponse(200, std::string(8000, 'x')));
  }
  const int32_t later = slow.Ask("GET", "/later");
  Talk(slow);
  EXPECT_EQ(streams.size(), 5u);  // some 40 KB wait
  for (const int32_t id : ids) slow.Allow(id, 8001);
  Talk(slow);
  ASSERT_EQ(streams.size(), 6u);
  session->Respond(streams[5], TextResponse(200, "x"));
  Talk(slow);
  EXPECT_EQ(slow.answer(later).body, "x\n");
}

TEST_F(Http2, APeerThatDoesNotReadIsNotReadFrom) {
  limits.output_bytes = 10000;
  Restart();
  session->Receive(std::string(kPreface) + Settings());
  const std::string ping = Frame(NGHTTP2_PING, 0, 0, "12345678");
  int taken = 0;
  for (; session->wants_input() && taken < 100000; ++taken) session->Receive(ping);
  EXPECT_LT(taken, 1000);
  EXPECT_LT(session->output().size(), 11000u);
  EXPECT_FALSE(session->finished());
}

TEST_F(Http2, AFloodOfSettingsEndsTheConnection) {
  std::string flood(kPreface);
  for (int i = 0; i < 2000; ++i) flood += Settings();
  client.Receive(Give(flood));
  EXPECT_TRUE(session->finished());
  EXPECT_EQ(client.goaway()->error_code, static_cast<uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
  EXPECT_EQ(tally.floods, 1u);
}

TEST_F(Http2, RapidResetsEndTheConnection) {
  Give(std::string(kPreface) + Settings());
  int resets = 0;
  for (uint32_t id = 1; !session->finished() && resets < 10000; id += 2, ++resets) {
    Give(Frame(NGHTTP2_HEADERS, 0x05, id, kGetBlock) +
         Frame(NGHTTP2_RST_STREAM, 0, id, std::string("\0\0\0\x08", 4)));
  }
  EXPECT_LT(resets, 150);
  EXPECT_EQ(requests.size(), 0u);  // and no handler was troubled
  EXPECT_EQ(tally.floods, 1u);
}

TEST_F(Http2, AClientThatGivesUpNowAndThenIsServed) {
  answer_at_once = false;
  for (int i = 0; i < 1000; ++i) {
    const int32_t reset = client.Ask("GET", "/");
    const int32_t kept = client.Ask("GET", "/");
    Talk();
    client.Reset(reset);
    session->Respond(streams.back(), TextResponse(200, "x"));
    Talk();
    ASSERT_EQ(client.answer(kept).body, "x\n");
  }
}

TEST_F(Http2, AHeadWithoutEndEndsTheConnection) {
  std::string flood =
      std::string(kPreface) + Settings() + Frame(NGHTTP2_HEADERS, 0x01, 1, kGetBlock);
  for (int i = 0; i < 1000; ++i) flood += Frame(NGHTTP2_CONTINUATION, 0, 1, {});
  Give(flood);
  EXPECT_TRUE(session->finished());
  EXPECT_EQ(requests.size(), 0u);
}

TEST_F(Http2, FieldsThatUnpackToTooMuchEndTheConnection) {
  // One field of 4,000 bytes into the table, then 16,000 mentions of it.
  std::string block = kGetBlock + std::string("\x40\x01", 2) + "a" +
                      std::string("\x7f\xa1\x1e", 3) + std::string(4000, 'x');
  block += std::string(12000, '\xbe');
  client.Receive(Give(std::string(kPreface) + Settings() + Frame(NGHTTP2_HEADERS, 0x05, 1, block)));
  EXPECT_TRUE(session->finished());
  EXPECT_EQ(client.goaway()->error_code, static_cast<uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
  EXPECT_EQ(requests.size(), 0u);
}

TEST_F(Http2, RefusesWhatIsTooLarge) {
  EXPECT_EQ(Fetch("GET", "/" + std::string(9000, 'a')).status, 414);
  EXPECT_EQ(Fetch("GET", "/", {{"a", std::string(17000, 'a')}}).status, 431);
  std::vector<Header> many;
  for (int i = 0; i < 101; ++i) many.push_back({"a", "b"});
  EXPECT_EQ(Fetch("GET", "/", many).status, 431);
  EXPECT_EQ(tally.malformed, 3u);
  EXPECT_EQ(requests.size(), 0u);
  EXPECT_EQ(Fetch("GET", "/").status, 200);  // the connection lives
}

TEST_F(Http2, RefusesMalformedHeads) {
  const auto status = [&](std::string_view path, const std::vector<Header>& fields) {
    return Fetch("GET", path, fields).status;
  };
  EXPECT_EQ(status("/%", {}), 400);
  EXPECT_EQ(status("/%00", {}), 400);
  EXPECT_EQ(status("/a/../b", {}), 400);
  EXPECT_EQ(status("*", {}), 0);
  EXPECT_EQ(Fetch("OPTIONS", "*").status, 400);
  EXPECT_EQ(status("http://b/", {{":scheme", "other"}}), 400);
  EXPECT_EQ(status("/", {{"host", "b"}}), 400);
  EXPECT_EQ(status("/", {{"host", "a"}}), 200);
  EXPECT_EQ(Fetch("CONNECT", "-", {{":path", "-"}, {":scheme", "-"}, {":authority", "a:1"}}).status,
            400);
  // These are reset without an answer (RFC 9113 8.1.1).
  for (const Header& bad : std::vector<Header>{{"a", "line\nbreak"},
                                               {"a", " space before"},
                                               {"connection", "close"},
                                               {"transfer-encoding", "chunked"},
                                               {"te", "gzip"},
                                               {"content-length", "+3"},
                                               {"content-length", "5"},
                                               {":unknown", "x"},
                                               {":path", "-"},
                                               {":scheme", "-"},
                                               {":path", "no-slash"}}) {
    const auto& answer = Fetch("POST", "/", {bad}, Body{"abc", true, {}});
    EXPECT_EQ(answer.status, 0) << bad.name << ": " << bad.value;
    EXPECT_EQ(answer.error_code, static_cast<uint32_t>(NGHTTP2_PROTOCOL_ERROR)) << bad.name;
  }
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(Fetch("GET", "/").status, 200);
}

TEST_F(Http2, RefusesNamesInUpperCase) {
  const std::string block = kGetBlock + std::string("\x00\x01\x41\x01\x61", 5);  // "A: a"
  Give(std::string(kPreface) + Settings() + Frame(NGHTTP2_HEADERS, 0x05, 1, block));
  EXPECT_EQ(requests.size(), 0u);
  EXPECT_EQ(tally.malformed, 1u);
  EXPECT_EQ(session->phase(), Session::Phase::kIdle);
}

TEST_F(Http2, BytesThatAreNoHttp2EndTheConnection) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), std::string(100, '\0'),
        std::string(kPreface) + std::string(100, '\xff'),
        std::string(kPreface) + Frame(NGHTTP2_PING, 0, 0, "12345678"),
        std::string(kPreface) + Settings() + Frame(NGHTTP2_DATA, 0, 1, "on no stream"),
        std::string(kPreface) + Settings() + Frame(NGHTTP2_HEADERS, 0x05, 2, kGetBlock),
        std::string(kPreface) + Settings() + Frame(NGHTTP2_HEADERS, 0x05, 1, "\xff\xff\xff\xff"),
        std::string(kPreface) + Settings() + Frame(NGHTTP2_CONTINUATION, 4, 1, kGetBlock),
        std::string(kPreface) + Settings() +
            Frame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\0\0\0\0", 4))}) {
    Restart();
    tally = {};
    Give(bytes);
    EXPECT_TRUE(session->finished()) << testing::PrintToString(bytes);
    EXPECT_EQ(tally.malformed, 1u) << testing::PrintToString(bytes);
    EXPECT_EQ(requests.size(), 0u);
  }
}

TEST_F(Http2, StreamsBeyondTheLimitAreRefusedToBeSentAgain) {
  limits.streams = 2;
  Restart();
  answer_at_once = false;
  // Before the client has seen our SETTINGS.
  std::vector<int32_t> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(client.Ask("GET", "/"));
  Talk();
  EXPECT_EQ(client.Setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS), 2u);
  EXPECT_EQ(requests.size(), 2u);
  EXPECT_EQ(client.answer(ids[2]).error_code, static_cast<uint32_t>(NGHTTP2_REFUSED_STREAM));
  EXPECT_EQ(tally.refused, 1u);
}

TEST_F(Http2, AbortAnswersTheOldestAndTheOthersGoOn) {
  const int32_t late = client.Ask("POST", "/", {}, Body{"a", false, {}});
  Talk();
  session->Abort(408, "late");
  Talk();
  EXPECT_EQ(client.answer(late).status, 408);
  EXPECT_EQ(session->phase(), Session::Phase::kBody);  // the rest of it is read away
  session->Abort(408, "still late");
  Talk();
  EXPECT_EQ(client.answer(late).error_code, 0u);
  EXPECT_TRUE(client.answer(late).closed);
  answer_at_once = false;
  const int32_t forgotten = client.Ask("GET", "/");
  Talk();
  session->Abort(503, "no answer in time");
  Talk();
  EXPECT_EQ(client.answer(forgotten).status, 503);
  session->Respond(streams.back(), TextResponse(200, "too late"));
  answer_at_once = true;
  EXPECT_EQ(Fetch("GET", "/").status, 200);
}

// Answers that are sent piece by piece.
class Http2Streams : public Http2 {
 protected:
  Http2Streams() { answer_at_once = false; }
  void OnGone(StreamId stream) override { gone.push_back(stream); }
  // The stream of a request that is answered so.
  int32_t Open(Http2Client& by) {
    const int32_t id = by.Ask("GET", "/");
    Talk(by);
    EXPECT_TRUE(session->Begin(static_cast<StreamId>(id), {}));
    Talk(by);
    return id;
  }

  std::vector<StreamId> gone;
};

TEST_F(Http2Streams, EachPieceIsSentAsItComes) {
  const int32_t id = Open(client);
  const auto& answer = client.answer(id);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.Field("content-length"), "");
  EXPECT_EQ(session->phase(), Session::Phase::kStreaming);
  session->Send(id, "one");
  session->Send(id, "two");
  Talk();
  EXPECT_EQ(answer.body, "onetwo");
  EXPECT_EQ(session->held(id), 0u);
  session->Send(id, "three");
  session->End(id);
  session->Send(id, "late");
  Talk();
  EXPECT_EQ(answer.body, "onetwothree");
  EXPECT_TRUE(answer.closed);
  EXPECT_EQ(answer.error_code, uint32_t{NGHTTP2_NO_ERROR});
  EXPECT_EQ(session->phase(), Session::Phase::kIdle);
  EXPECT_THAT(gone, ElementsAre());
}

TEST_F(Http2Streams, AnEndWithoutAnotherPieceIsOne) {
  const int32_t id = Open(client);
  session->End(id);
  Talk();
  EXPECT_TRUE(client.answer(id).closed);
  EXPECT_EQ(client.answer(id).error_code, uint32_t{NGHTTP2_NO_ERROR});
}

TEST_F(Http2Streams, HeadIsAnsweredByTheHead) {
  const int32_t id = client.Ask("HEAD", "/");
  Talk();
  EXPECT_FALSE(session->Begin(id, TextResponse(200, "first")));
  Talk();
  EXPECT_EQ(client.answer(id).status, 200);
  EXPECT_EQ(client.answer(id).body, "");
  EXPECT_TRUE(client.answer(id).closed);
}

TEST_F(Http2Streams, WhatThePeerDoesNotAllowIsHeldAndTold) {
  Http2Client slow(10);
  const int32_t id = Open(slow);
  session->Send(id, "0123456789abcdef");
  Talk(slow);
  EXPECT_EQ(session->held(id), 6u);
  EXPECT_EQ(session->phase(), Session::Phase::kSending);
  const uint64_t before = session->phase_progress();
  slow.Allow(id, 2);
  Talk(slow);
  EXPECT_EQ(session->held(id), 4u);
  EXPECT_EQ(session->phase_progress(), before + 2);
  session->Send(id, "gh");
  slow.Allow(id, 100);
  Talk(slow);
  EXPECT_EQ(slow.answer(id).body, "0123456789abcdefgh");
  EXPECT_EQ(session->phase(), Session::Phase::kStreaming);
}

TEST_F(Http2Streams, OneThatWaitsForItsNextPieceIsInNobodysWay) {
  Open(client);
  const int32_t other = client.Ask("GET", "/other");
  Talk();
  EXPECT_EQ(session->phase(), Session::Phase::kAnswering);
  EXPECT_EQ(session->phase_stream(), static_cast<StreamId>(other));
  session->Abort(503, "no answer in time");
  Talk();
  EXPECT_EQ(client.answer(other).status, 503);
  EXPECT_EQ(session->phase(), Session::Phase::kStreaming);
}

TEST_F(Http2Streams, APeerThatWantsNoMoreIsGone) {
  const int32_t id = Open(client);
  client.Reset(id);
  Talk();
  EXPECT_THAT(gone, ElementsAre(static_cast<StreamId>(id)));
  session->Send(id, "late");
  session->End(id);
  Talk();
  EXPECT_EQ(client.answer(id).body, "");
}

TEST_F(Http2Streams, WhatWasHeldForOneThatIsGoneHoldsNobodyBack) {
  limits.output_bytes = 1000;
  Restart();
  Http2Client slow(10);
  const int32_t id = Open(slow);
  session->Send(id, std::string(2000, 'x'));
  slow.Ask("GET", "/next");
  Talk(slow);
  EXPECT_EQ(requests.size(), 1u);
  slow.Reset(id);
  Talk(slow);
  EXPECT_EQ(requests.size(), 2u);
}

TEST_F(Http2Streams, FinishEndsIt) {
  const int32_t id = Open(client);
  session->Send(id, "last");
  session->Finish();
  Talk();
  EXPECT_EQ(client.answer(id).body, "last");
  EXPECT_TRUE(client.answer(id).closed);
  EXPECT_TRUE(session->finished());
}

TEST_F(Http2, DrainBidsThePeerGoAndStillAnswersIt) {
  Talk();
  session->Drain();
  Talk();
  ASSERT_TRUE(client.goaway());
  EXPECT_EQ(client.goaway()->last, INT32_MAX);  // whatever is on its way is taken
  EXPECT_EQ(client.goaway()->error_code, 0u);
  EXPECT_FALSE(session->finished());
  client.Receive(Give(Frame(NGHTTP2_HEADERS, 0x05, 1, kGetBlock)));
  EXPECT_EQ(requests.size(), 1u);
}

TEST_F(Http2, FinishAnswersWhatIsUnderWayAndNothingElse) {
  answer_at_once = false;
  const int32_t id = client.Ask("GET", "/");
  Talk();
  session->Finish();
  Talk();
  EXPECT_EQ(client.goaway()->last, id);
  EXPECT_FALSE(session->finished());
  Give(Frame(NGHTTP2_HEADERS, 0x05, 3, kGetBlock));
  EXPECT_EQ(requests.size(), 1u);
  session->Respond(streams[0], TextResponse(200, "x"));
  Talk();
  EXPECT_EQ(client.answer(id).body, "x\n");
  EXPECT_TRUE(session->finished());
}

TEST_F(Http2, FinishAfterDrainNamesTheLastRequest) {
  Give(std::string(kPreface) + Settings());
  session->Drain();
  Give(Frame(NGHTTP2_HEADERS, 0x05, 1, kGetBlock));
  ASSERT_EQ(requests.size(), 1u);
  session->Finish();
  const std::string last = Give({});
  EXPECT_EQ(last, Frame(NGHTTP2_GOAWAY, 0, 0, std::string("\0\0\0\x01\0\0\0\0", 8)));
  EXPECT_TRUE(session->finished());
}

TEST_F(Http2, FinishOfAnIdleSessionIsItsEnd) {
  Fetch("GET", "/");
  session->Finish();
  Talk();
  EXPECT_TRUE(session->finished());
}

}  // namespace
}  // namespace portolan::http
