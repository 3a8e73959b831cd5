#include "dns/plugins/rewrite_options.h"

#include <algorithm>

#include "dns/wire/bytes.h"
#include "dns/wire/name.h"

namespace portolan::dns {
namespace {

using wire::Load16;
using wire::Store16;

constexpr size_t kHeaderBytes = 4;  // code and length

size_t BytesAt(std::span<const uint8_t> options, size_t at) {
  return kHeaderBytes + Load16(&options[at + 2]);
}

std::span<const uint8_t> Bytewise(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// RFC 7871 6: family, the bits that count, 0, and so many bytes of the address as they take.
size_t WriteSubnet(const IpAddress& client, uint8_t bits, std::span<uint8_t> out) {
  const auto address = client.bytes();
  const size_t bytes = (size_t{bits} + 7) / 8;
  Store16(out.data(), client.is_v4() ? 1 : 2);
  out[2] = bits;
  out[3] = 0;
  std::copy_n(address.begin(), bytes, out.begin() + 4);
  if (bits % 8 != 0) out[3 + bytes] &= static_cast<uint8_t>(0xff << (8 - bits % 8));
  return 4 + bytes;
}

}  // namespace

OptionList::OptionList(std::span<const uint8_t> options) {
  if (options.size() > bytes_.size()) return;
  for (size_t at = 0; at < options.size(); at += BytesAt(options, at)) {
    if (at + kHeaderBytes > options.size() || at + BytesAt(options, at) > options.size()) return;
  }
  std::copy(options.begin(), options.end(), bytes_.begin());
  size_ = options.size();
}

size_t OptionList::Find(uint16_t code) const {
  size_t at = 0;
  while (at < size_ && Load16(&bytes_[at]) != code) at += BytesAt(bytes(), at);
  return at;
}

std::span<const uint8_t> OptionList::DataOf(uint16_t code) const {
  const size_t at = Find(code);
  if (at >= size_) return {};
  return bytes().subspan(at + kHeaderBytes, BytesAt(bytes(), at) - kHeaderBytes);
}

void OptionList::Remove(uint16_t code) {
  const size_t at = Find(code);
  if (at >= size_) return;
  const size_t bytes_gone = BytesAt(bytes(), at);
  std::copy(bytes_.begin() + static_cast<ptrdiff_t>(at + bytes_gone),
            bytes_.begin() + static_cast<ptrdiff_t>(size_),
            bytes_.begin() + static_cast<ptrdiff_t>(at));
  size_ -= bytes_gone;
}

bool OptionList::Append(uint16_t code, std::span<const uint8_t> data) {
  if (kHeaderBytes + data.size() > bytes_.size() - size_) return false;
  Store16(&bytes_[size_], code);
  Store16(&bytes_[size_ + 2], static_cast<uint16_t>(data.size()));
  std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<ptrdiff_t>(size_ + 4));
  size_ += kHeaderBytes + data.size();
  return true;
}

bool OptionRule::Apply(const Exchange& exchange, const wire::Query& query,
                       OptionList& options) const {
  const bool there = options.Has(code);
  if (action == Action::kUnset) {
    options.Remove(code);
    return there;
  }
  if (there ? action == Action::kAppend : action == Action::kReplace) return false;
  wire::TextBuffer name;
  std::array<uint8_t, 20> bytes;
  std::span<const uint8_t> value;
  const SocketAddress& client = exchange.client();
  switch (data) {
    case Data::kFixed:
      value = Bytewise(fixed);
      break;
    case Data::kSubnet:
      value = std::span(bytes).first(
          WriteSubnet(client.ip, client.ip.is_v4() ? v4_bits : v6_bits, bytes));
      break;
    case Data::kName:
      wire::WriteText(query.lower_name(), name);
      value = Bytewise(name.view());
      break;
    case Data::kType:
    case Data::kClientPort:
      Store16(bytes.data(), data == Data::kType ? query.type : client.port);
      value = std::span(bytes).first(2);
      break;
    case Data::kClientAddress:
      value = client.ip.bytes();
      break;
    case Data::kTransport:
      value = Bytewise(exchange.transport() == Transport::kTcp ? "tcp" : "udp");
      break;
  }
  options.Remove(code);
  return options.Append(code, value);
}

void OptionRule::Revert(const OptionList& of_client, OptionList& of_reply) const {
  if (!revert || !of_reply.Has(code)) return;
  of_reply.Remove(code);
  if (of_client.Has(code)) of_reply.Append(code, of_client.DataOf(code));
}

}  // namespace portolan::dns
