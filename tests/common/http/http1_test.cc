#include "common/http/http1.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace portolan::http {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

absl::Time FixedNow() { return absl::FromUnixSeconds(784111777); }  // RFC 9110's example

// A session whose handler echoes what it got, or answers later.
class Http1 : public ::testing::Test, public RequestSink {
 protected:
  void OnRequest(StreamId stream, Request request) override {
    streams.push_back(stream);
    const std::string line = request.method + " " + request.path + " " + request.body;
    requests.push_back(std::move(request));
    if (answer_at_once) session.Respond(stream, TextResponse(200, line));
  }

  std::string Send(std::string_view bytes) {
    session.Receive(bytes);
    std::string out;
    do {
      out += std::exchange(session.output(), "");
      session.Receive({});
    } while (session.held_back() || !session.output().empty());
    return out;
  }

  // The status of the refusal of `bytes` by a fresh session, and that it ends the session.
  static int Refusal(std::string_view bytes, Limits limits = {}) {
    struct Refuser : RequestSink {
      void OnRequest(StreamId, Request) override { ++accepted; }
      int accepted = 0;
    } sink;
    Http1Session fresh(limits, sink, FixedNow);
    fresh.Receive(bytes);
    EXPECT_EQ(sink.accepted, 0) << bytes;
    EXPECT_TRUE(fresh.finished()) << bytes;
    EXPECT_THAT(fresh.output(), HasSubstr("Connection: close\r\n"));
    return fresh.output().size() < 12 ? 0 : std::stoi(fresh.output().substr(9, 3));
  }

  bool answer_at_once = true;
  Limits limits;
  std::vector<Request> requests;
  std::vector<StreamId> streams;
  Http1Session session{limits, *this, FixedNow};
};

std::string Get(std::string_view rest) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(rest) + "\r\n";
}
std::string Post(std::string_view fields_and_body) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(fields_and_body);
}

TEST_F(Http1, AnswersARequestInFull) {
  EXPECT_EQ(Send("GET /names?search=a%20b+c&x HTTP/1.1\r\nHost: a:1\r\nX-Y:  v \r\n\r\n"),
            "HTTP/1.1 200 OK\r\n"
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 12\r\n\r\n"
            "GET /names \n");
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].FindQuery("search"), "a b c");
  EXPECT_EQ(requests[0].FindQuery("x"), "");
  EXPECT_EQ(requests[0].FindQuery("y"), std::nullopt);
  EXPECT_EQ(requests[0].FindHeader("x-y"), "v");
  EXPECT_EQ(requests[0].host, "a:1");
  EXPECT_FALSE(session.finished());
}

TEST_F(Http1, ReadsTheSameWhereverTheBytesAreSplit) {
  const std::string stream =
      "\r\nPOST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
      "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
      "GET /c HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string whole = Send(stream);
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].body, "hello");
  EXPECT_EQ(requests[1].body, "abcde");
  for (size_t cut = 1; cut < stream.size(); ++cut) {
    struct Sink : RequestSink {
      Http1Session* session = nullptr;
      void OnRequest(StreamId stream, Request request) override {
        session->Respond(
            stream, TextResponse(200, request.method + " " + request.path + " " + request.body));
      }
    } sink;
    Http1Session cut_session(limits, sink, FixedNow);
    sink.session = &cut_session;
    cut_session.Receive(std::string_view(stream).substr(0, cut));
    cut_session.Receive(std::string_view(stream).substr(cut));
    EXPECT_EQ(cut_session.output(), whole) << "cut at " << cut;
  }
}

TEST_F(Http1, PipelinedRequestsAreHandledOneByOneInOrder) {
  answer_at_once = false;
  session.Receive("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(session.phase(), Session::Phase::kAnswering);
  session.Respond(streams[0], TextResponse(200, "one"));
  EXPECT_TRUE(session.held_back());
  session.Receive({});
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[1].path, "/2");
  session.Respond(streams[0], TextResponse(200, "again"));  // answered already: ignored
  session.Respond(streams[1], TextResponse(200, "two"));
  EXPECT_THAT(session.output(), HasSubstr("one\n"));
  EXPECT_THAT(session.output(), ::testing::EndsWith("two\n"));
  EXPECT_THAT(session.output(), Not(HasSubstr("again")));
}

TEST_F(Http1, HoldsPipelinedRequestsBackWhileOutputIsPending) {
  limits.output_bytes = 100;
  struct Sink : RequestSink {
    Http1Session* session = nullptr;
    int count = 0;
    void OnRequest(StreamId stream, Request) override {
      ++count;
      session->Respond(stream, TextResponse(200, "ok"));
    }
  } sink;
  Http1Session held(limits, sink, FixedNow);
  sink.session = &held;
  for (int i = 0; i < 1000 && held.wants_input(); ++i) held.Receive(Get(""));
  EXPECT_EQ(sink.count, 1);
  EXPECT_FALSE(held.wants_input());
  held.output().clear();
  held.Receive({});
  EXPECT_EQ(sink.count, 2);
}

TEST_F(Http1, HeadGetsTheFieldsOfGetWithoutABody) {
  EXPECT_THAT(Send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
              AllOf(HasSubstr("Content-Length: 8\r\n"), ::testing::EndsWith("\r\n\r\n")));
}

TEST_F(Http1, NotModifiedHasNoBody) {
  answer_at_once = false;
  Send(Get(""));
  session.Respond(streams[0], TextResponse(304, "x"));
  EXPECT_THAT(session.output(), Not(HasSubstr("Content-Length")));
  EXPECT_THAT(session.output(), ::testing::EndsWith("\r\n\r\n"));
}

TEST_F(Http1, ClosesWhenAskedTo) {
  EXPECT_THAT(Send(Get("Connection: close\r\n")), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(session.finished());
  EXPECT_EQ(Send(Get("")), "");
}

TEST_F(Http1, Http10ClosesUnlessKeepAliveIsAsked) {
  EXPECT_THAT(Send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
              HasSubstr("Connection: keep-alive\r\n"));
  EXPECT_FALSE(session.finished());
  EXPECT_THAT(Send("GET / HTTP/1.0\r\n\r\n"), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(session.finished());
}

TEST_F(Http1, SendsContinueBeforeAnExpectedBody) {
  EXPECT_EQ(Send(Post("Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")),
            "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_THAT(Send("hi"), HasSubstr("POST / hi"));
}

TEST_F(Http1, AbsoluteFormWinsOverHost) {
  Send("GET http://b:80/x HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].host, "b:80");
  EXPECT_EQ(requests[0].path, "/x");
}

TEST_F(Http1, ResponseFieldsCannotBeSplitByTheirValues) {
  answer_at_once = false;
  Send(Get(""));
  Response response = TextResponse(200, "x");
  response.headers.push_back({"X-Name", "a\r\nSet-Cookie: b"});
  session.Respond(streams[0], response);
  EXPECT_THAT(session.output(), HasSubstr("X-Name: a  Set-Cookie: b\r\n"));
}

// Answers that are sent piece by piece.
class Http1Streams : public Http1 {
 protected:
  Http1Streams() { answer_at_once = false; }
  StreamId Ask(std::string_view request) {
    Send(request);
    return streams.empty() ? 0 : streams.back();
  }
  std::string Take() { return std::exchange(session.output(), ""); }
};

TEST_F(Http1Streams, EachPieceIsAChunkAndTheConnectionGoesOnAfterTheLast) {
  const StreamId stream = Ask(Get(""));
  ASSERT_TRUE(session.Begin(stream, TextResponse(200, "first")));
  EXPECT_THAT(Take(), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                            HasSubstr("\r\nTransfer-Encoding: chunked\r\n"),
                            Not(HasSubstr("Content-Length")), Not(HasSubstr("Connection")),
                            EndsWith("\r\n\r\n6\r\nfirst\n\r\n")));
  EXPECT_EQ(session.phase(), Session::Phase::kStreaming);
  session.Send(stream, "");  // would be the end
  session.Send(stream, std::string(26, 'x'));
  EXPECT_EQ(Take(), "1a\r\n" + std::string(26, 'x') + "\r\n");
  EXPECT_EQ(Send(Get("")), "");  // waits for its turn
  EXPECT_EQ(requests.size(), 1u);
  session.End(stream);
  EXPECT_EQ(Send(""), "0\r\n\r\n");
  ASSERT_EQ(requests.size(), 2u);
  session.Send(stream, "late");
  session.End(stream);
  EXPECT_EQ(Take(), "");
  EXPECT_FALSE(session.Begin(stream, {}));
}

TEST_F(Http1Streams, Http10GetsItUntilTheConnectionIsClosed) {
  const StreamId stream = Ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  ASSERT_TRUE(session.Begin(stream, {}));
  session.Send(stream, "one");
  session.Send(stream, "two");
  session.End(stream);
  EXPECT_THAT(Take(), AllOf(HasSubstr("Connection: close\r\n"), Not(HasSubstr("chunked")),
                            EndsWith("\r\n\r\nonetwo")));
  EXPECT_TRUE(session.finished());
}

TEST_F(Http1Streams, HeadIsAnsweredByTheHead) {
  const StreamId stream = Ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_FALSE(session.Begin(stream, TextResponse(200, "first")));
  EXPECT_THAT(Take(), EndsWith("\r\nTransfer-Encoding: chunked\r\n\r\n"));
  EXPECT_EQ(session.phase(), Session::Phase::kIdle);
  EXPECT_FALSE(session.finished());
}

TEST_F(Http1Streams, FinishEndsIt) {
  const StreamId stream = Ask(Get(""));
  session.Begin(stream, {});
  session.Drain();
  EXPECT_FALSE(session.finished());
  Take();
  session.Finish();
  EXPECT_EQ(Take(), "0\r\n\r\n");
  EXPECT_TRUE(session.finished());
}

TEST_F(Http1, AbortAnswersWhatIsUnderWayAndFinishes) {
  session.Receive("GET / HT");
  session.Abort(408, "late");
  EXPECT_THAT(session.output(), StartsWith("HTTP/1.1 408 Request Timeout\r\n"));
  EXPECT_TRUE(session.finished());
}

TEST_F(Http1, RefusesWhatTwoReadersCouldFrameDifferently) {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  EXPECT_EQ(Refusal(Post("Content-Length: 3\r\n" + chunked + "\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(Post(chunked + "Content-Length: 3\r\n\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(Post("Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc")), 400);
  EXPECT_EQ(Refusal(Post("Content-Length: 3, 3\r\n\r\nabc")), 400);
  EXPECT_EQ(Refusal(Post("Content-Length: +3\r\n\r\nabc")), 400);
  EXPECT_EQ(Refusal(Post("Content-Length: 0x3\r\n\r\nabc")), 400);
  EXPECT_EQ(Refusal(Post("Content-Length: -1\r\n\r\nabc")), 400);
  EXPECT_EQ(Refusal(Post("Content-Length:\r\n\r\nabc")), 400);
  EXPECT_EQ(Refusal(Post("Content-Length : 3\r\n\r\nabc")), 400);
  EXPECT_EQ(Refusal(Post("Content-Length: 99999999999999999999\r\n\r\nabc")), 400);
  EXPECT_EQ(Refusal(Post(chunked + chunked + "\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(Post("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(Post("Transfer-Encoding:\x0b"
                         "chunked\r\n\r\n0\r\n\r\n")),
            400);
  EXPECT_GE(Refusal(Post("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")), 400);
  EXPECT_GE(Refusal(Post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")), 400);
  EXPECT_GE(Refusal(Post("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(Refusal(Post("X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(Post("X: a\nContent-Length: 3\r\n\r\nabc")), 400);
  EXPECT_EQ(Refusal(Post("X: a\rContent-Length: 3\r\n\r\nabc")), 400);
}

TEST_F(Http1, RefusesMalformedChunks) {
  const auto chunks = [](std::string_view body) {
    return Post("Transfer-Encoding: chunked\r\n\r\n" + std::string(body));
  };
  EXPECT_EQ(Refusal(chunks("5\nhello\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(chunks("5\rXhello\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(chunks("5\r\nhelloX\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(chunks("5\r\nhelloXX0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(chunks("5 \r\nhello\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(chunks("+5\r\nhello\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(chunks("0x5\r\nhello\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(chunks("\r\nhello\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(chunks("5;\x01\r\nhello\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(chunks("0\r\nTrailer\n: x\r\n\r\n")), 400);
  EXPECT_EQ(Refusal(chunks("123456789\r\n")), 413);
}

TEST_F(Http1, RefusesMalformedHeads) {
  EXPECT_EQ(Refusal("GET / HTTP/1.1\r\n\r\n"), 400);  // no Host
  EXPECT_EQ(Refusal(Get("Host: b\r\n")), 400);
  EXPECT_EQ(Refusal("GET /\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET /% HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET /%2e%2E/b HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET x HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Refusal("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(Refusal("GET / HTTP/1.9\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(Refusal("FETCH / HTTP/1.1\r\nHost: a\r\n\r\n"), 501);
  EXPECT_EQ(Refusal(Get("no colon\r\n")), 400);
  EXPECT_EQ(Refusal(Get(": x\r\n")), 400);
  EXPECT_EQ(Refusal(Get("A B: x\r\n")), 400);
  EXPECT_EQ(Refusal(Get("A: \x01\r\n")), 400);
  EXPECT_EQ(Refusal(Get(std::string_view("A: \0\r\n", 6))), 400);
  EXPECT_EQ(Refusal(Get("Expect: x\r\n")), 417);
  EXPECT_EQ(Refusal("\x16\x03\x01"), 400);  // a TLS hello, told at once
}

TEST_F(Http1, RefusesWhatIsTooLarge) {
  const std::string long_target = "GET /" + std::string(9000, 'a');
  EXPECT_EQ(Refusal(long_target), 414);
  EXPECT_EQ(Refusal(long_target + " HTTP/1.1\r\nHost: a\r\n\r\n"), 414);
  EXPECT_EQ(Refusal(Get("A: " + std::string(17000, 'a') + "\r\n")), 431);
  std::string many;
  for (int i = 0; i < 100; ++i) many += "A: b\r\n";
  EXPECT_EQ(Refusal(Get(many)), 431);
  Limits small;
  small.body_bytes = 10;
  EXPECT_EQ(Refusal(Post("Content-Length: 11\r\n\r\n"), small), 413);
  EXPECT_EQ(Refusal(Post("Transfer-Encoding: chunked\r\n\r\nb\r\n"), small), 413);
  EXPECT_EQ(Refusal(Post("Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\n"), small), 413);
  EXPECT_EQ(Refusal(Post("Transfer-Encoding: chunked\r\n\r\n1;" + std::string(17000, 'x'))), 413);
  std::string query = "GET /?";
  for (int i = 0; i < 65; ++i) query += "a&";
  EXPECT_EQ(Refusal(query + " HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
}

TEST_F(Http1, TakesExactlyTheBodyLimit) {
  limits.body_bytes = 3;
  struct Sink : RequestSink {
    std::vector<std::string> bodies;
    Http1Session* session = nullptr;
    void OnRequest(StreamId stream, Request request) override {
      bodies.push_back(request.body);
      session->Respond(stream, TextResponse(200, ""));
    }
  } sink;
  Http1Session exact(limits, sink, FixedNow);
  sink.session = &exact;
  exact.Receive(Post("Content-Length: 3\r\n\r\nabc"));
  exact.Receive(Post("Transfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n"));
  exact.Receive(Post("Content-Length: 0\r\n\r\n"));
  EXPECT_THAT(sink.bodies, ElementsAre("abc", "def", ""));
}

TEST_F(Http1, ALoneCarriageReturnBetweenRequestsWaits) {
  EXPECT_EQ(Send("\r"), "");
  EXPECT_FALSE(session.held_back());
  EXPECT_EQ(session.phase(), Session::Phase::kIdle);
  EXPECT_THAT(Send("\n" + Get("")), StartsWith("HTTP/1.1 200"));
}

}  // namespace
}  // namespace portolan::http
