#include "tests/conformance/zone.h"

#include <fstream>
#include <sstream>

#include "common/ip.h"
#include "dns/wire/reply.h"
#include "tests/conformance/records.h"

namespace portolan::dns::test {
namespace {

using wire::Section;
namespace rr = wire::type;

std::string Rdata(uint16_t type, std::istringstream& words) {
  std::string first;
  words >> first;
  if (type == rr::kA || type == rr::kAaaa) {
    const IpAddress ip = *IpAddress::Parse(first);
    return {ip.bytes().begin(), ip.bytes().end()};
  }
  if (type == rr::kTxt) {
    const std::string text = first.substr(1, first.size() - 2);
    return static_cast<char>(text.size()) + text;
  }
  std::string rdata = *wire::NameToWire(first);
  if (type != rr::kSoa) return rdata;
  std::string mailbox;
  words >> mailbox;
  rdata += *wire::NameToWire(mailbox);
  for (uint32_t number; words >> number;) {
    uint8_t bytes[4];
    wire::Store32(bytes, number);
    rdata.append(std::begin(bytes), std::end(bytes));
  }
  return rdata;
}

std::span<const uint8_t> Bytes8(const std::string& wire) {
  return {reinterpret_cast<const uint8_t*>(wire.data()), wire.size()};
}

void Add(wire::ReplyWriter& reply, Section section, const std::string& owner, uint16_t type,
         uint32_t ttl, const std::string& rdata) {
  const auto room = reply.Add(section, Bytes8(owner), type, ttl, rdata.size());
  std::copy_n(rdata.begin(), room.size(), room.begin());
}

}  // namespace

void Zones::Read(const std::string& path) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string owner, type;
    Record record;
    words >> owner >> record.ttl >> type;
    record.owner = *wire::NameToWire(owner);
    record.type = TypeNumber(type);
    record.rdata = Rdata(record.type, words);
    records_.push_back(std::move(record));
  }
}

const Zones::Record* Zones::SoaOf(const std::string& name) const {
  for (const Record& record : records_) {
    if (record.type == rr::kSoa && name.ends_with(record.owner)) return &record;
  }
  return nullptr;
}

template <typename F>
bool Zones::Find(const std::string& name, uint16_t type, F add) const {
  bool exists = false;
  for (const Record& record : records_) {
    if (record.owner != name) continue;
    exists = true;
    if (record.type == type) add(record);
  }
  return exists;
}

Bytes Zones::Answer(const Bytes& message) const {
  wire::Query query;
  wire::ParseQuery(message, query);
  Bytes room(wire::kMaxMessageBytes);
  wire::ReplyWriter reply(query, room, room.size());
  std::string name(query.name.begin(), query.name.begin() + query.name_bytes);
  const Record* soa = SoaOf(name);
  auto rcode = wire::Rcode::kNoError;
  if (soa == nullptr) {
    const bool fails = name.ends_with(*wire::NameToWire("fail.test."));
    rcode = fails ? wire::Rcode::kServFail : wire::Rcode::kRefused;
  }
  bool exists = true;
  for (bool alias = true; alias && soa != nullptr;) {
    alias = false;
    std::string next;
    exists = Find(name, query.type, [&](const Record& r) {
      Add(reply, Section::kAnswer, r.owner, r.type, r.ttl, r.rdata);
    });
    Find(name, rr::kCname, [&](const Record& r) {
      if (query.type == rr::kCname) return;
      Add(reply, Section::kAnswer, r.owner, r.type, r.ttl, r.rdata);
      next = r.rdata;
      alias = true;
    });
    if (alias) name = next;
  }
  if (soa != nullptr && reply.answer_count() == 0) {
    if (!exists) rcode = wire::Rcode::kNxDomain;
    Add(reply, Section::kAuthority, soa->owner, soa->type, soa->ttl, soa->rdata);
  }
  room.resize(reply.Finish(rcode, soa == nullptr ? 0 : wire::flag::kAuthoritative));
  return room;
}

}  // namespace portolan::dns::test
