// The formats of `log`: CoreDNS's placeholders, split once when the Corefile is read and filled in
// for each query without an allocation.
//
//   {type} {name} {class} {proto} {remote} {port} {size}        of the query
//   {rcode} {rsize} {>rflags} {duration}                        of the reply
//   {>id} {>opcode} {>do} {>bufsize}                            of the query's header and OPT
//   record {common} {combined}                                         whole formats
//
// {local} and metadata ({/plugin/label}) are "-", as is a {>word} that is not known; other braces
// stand for themselves. https://coredns.io/plugins/log/
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "dns/exchange.h"

namespace portolan::dns {

// Text up to a fixed length: what is longer is cut, and the line still ends.
class LogLine {
 public:
  void Add(std::string_view text);
  void AddNumber(uint64_t number);
  // In presentation form; REQUIRES: `name` is well formed.
  void AddName(std::span<const uint8_t> name);
  // With the end of the line.
  std::string_view Finish();

 private:
  size_t size_ = 0;
  std::array<char, 4096> bytes_;
};

class LogFormat {
 public:
  static constexpr std::string_view kCommon =
      "{remote}:{port} - {>id} \"{type} {class} {name} {proto} {size} {>do} {>bufsize}\" {rcode} "
      "{>rflags} {rsize} {duration}";

  explicit LogFormat(std::string_view text);

  // Any thread. The exchange has its reply.
  void Write(Exchange& exchange, absl::Duration duration, LogLine& line) const;

 private:
  using Fill = void (*)(Exchange&, absl::Duration, LogLine&);
  struct Piece {
    std::string literal;
    Fill fill = nullptr;  // behind the literal; null: nothing
  };

  static Fill FindFill(std::string_view placeholder);
  void Split(std::string_view text);

  std::vector<Piece> pieces_;
};

}  // namespace portolan::dns
