#include "proxy/feed/saved_state.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "common/files.h"
#include "common/fnv1a.h"
#include "common/status.h"
#include "proxy/feed/subscriptions.h"
#include "xds/api/codec.h"
#include "xds/api/policy_codec.h"

namespace portolan::proxy {
namespace {

using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::CopyingOutputStreamAdaptor;
using google::protobuf::io::ZeroCopyOutputStream;

constexpr std::string_view kMagic = "PORTOLAN";
constexpr size_t kHeaderBytes = kMagic.size() + 4 + 8 + 8;

// Tags of portolan.v1.SavedState: field number and wire type. The body is written and read field
// by field, so that there is never a second copy of all resources as messages.
constexpr uint32_t kSyncedTag = v1::SavedState::kSyncedUnixMsFieldNumber << 3 | 0;
constexpr uint32_t kResourceTag = v1::SavedState::kResourcesFieldNumber << 3 | 2;
constexpr uint32_t kWrittenByTag = v1::SavedState::kWrittenByFieldNumber << 3 | 2;

// Resources of a state file are applied in pieces of about the size of a response.
constexpr int kResourcesPerPiece = 256;

constexpr int kPieceBytes = 64 << 10;

template <typename T>
void StoreLittleEndian(T value, char* to) {
  for (size_t i = 0; i < sizeof value; ++i) to[i] = static_cast<char>(value >> (8 * i) & 0xff);
}

template <typename T>
T LoadLittleEndian(const char* from) {
  T value = 0;
  for (size_t i = 0; i < sizeof value; ++i) {
    value |= static_cast<T>(static_cast<T>(static_cast<unsigned char>(from[i])) << (8 * i));
  }
  return value;
}

class BodyWriter {
 public:
  explicit BodyWriter(CodedOutputStream& out) : out_(out) {}

  template <typename Message>
  void Add(const std::string& name, std::string version, const Message& message) {
    v1::SavedResource saved;
    saved.set_name(name);
    saved.set_version(std::move(version));
    saved.mutable_resource()->PackFrom(message);
    Add(saved);
  }

  void Add(const v1::SavedResource& saved) {
    out_.WriteTag(kResourceTag);
    out_.WriteVarint32(static_cast<uint32_t>(saved.ByteSizeLong()));
    saved.SerializeToCodedStream(&out_);
  }

 private:
  CodedOutputStream& out_;
};

void AddEndpoints(const Replica::Image& image, const std::string& service_key,
                  const SliceSet& slices, BodyWriter& body) {
  const bool in_transit = image.endpoints_in_transit.contains(service_key);
  const auto version_of = [&](const std::string& name) {
    const std::string* version = in_transit ? nullptr : image.endpoints.Find(name);
    return version == nullptr ? std::string() : *version;
  };
  api::EndpointsHead head{service_key, {}};
  for (const auto& [name, slice] : slices) {
    const std::string resource_name = service_key + "/" + name;
    const std::string version = version_of(resource_name);
    head.slices.push_back({name, version});
    body.Add(resource_name, version, api::ToProto(*slice));
  }
  body.Add(service_key, version_of(service_key), api::ToProto(head));
}

void AddReplica(const Replica::Image& image, BodyWriter& body) {
  image.snapshot->ForEachNamespace([&](const Namespace& ns) {
    body.Add(ns.name, std::string(ns.origin.held_version), api::ToProto(ns));
  });
  image.snapshot->ForEachService([&](const Service& service) {
    body.Add(service.name.ToString(), std::string(service.origin.held_version),
             api::ToProto(service));
  });
  image.snapshot->ForEachSliceSet([&](const std::string& key, const SliceSet& slices) {
    if (!slices.empty()) AddEndpoints(image, key, slices, body);
  });
  image.snapshot->ForEachServiceImport([&](const ServiceImport& import) {
    const std::string name = import.name.ToString();
    body.Add(name, std::string(import.origin.held_version),
             api::ToProto(import, image.snapshot->FindImportedSlices(name)));
  });
  // Services that are known to have no endpoints: a head that lists nothing. The directory does not
  // hold those.
  image.endpoints.ForEach([&](const std::string& name, const std::string& version) {
    const auto parsed = api::EndpointsName::Parse(name);
    if (!parsed || !parsed->slice.empty()) return;
    if (image.snapshot->FindSlices(name) != nullptr) return;
    if (image.endpoints_in_transit.contains(name)) return;
    body.Add(name, version, api::ToProto(api::EndpointsHead{name, {}}));
  });
}

// In the order in which the one leads to the other, so that a reader takes all of it.
void AddPolicy(const PolicyReplica::Image& image, BodyWriter& body) {
  if (image.head) body.Add(image.head->name, image.head->version, api::ToProto(*image.head->value));
  for (const auto& policy : image.policies) {
    body.Add(policy.name, policy.version, api::ToProto(*policy.value));
  }
  for (const auto& set : image.sets) {
    body.Add(set.name, set.version, api::ToProto(set.value.describes, *set.value.peers));
  }
}

std::string Header(uint64_t length, uint64_t checksum) {
  std::string header(kHeaderBytes, '\0');
  char* at = header.data();
  std::memcpy(at, kMagic.data(), kMagic.size());
  StoreLittleEndian(kStateFormat, at + kMagic.size());
  StoreLittleEndian(length, at + kMagic.size() + 4);
  StoreLittleEndian(checksum, at + kMagic.size() + 12);
  return header;
}

// Takes the body down in a file, and what its header says of it.
class BodyOutput : public google::protobuf::io::CopyingOutputStream {
 public:
  explicit BodyOutput(ReplacingFile& file) : file_(file) {}

  bool Write(const void* buffer, int size) override {
    const std::string_view bytes(static_cast<const char*>(buffer), static_cast<size_t>(size));
    length_ += bytes.size();
    checksum_ = Fnv1a(bytes, checksum_);
    return file_.Append(bytes);
  }
  std::string MakeHeader() const { return Header(length_, checksum_); }

 private:
  ReplacingFile& file_;
  uint64_t length_ = 0;
  uint64_t checksum_ = kFnv1aStart;
};

bool ReadString(CodedInputStream& in, std::string& out) {
  uint32_t length;
  return in.ReadVarint32(&length) && length <= kMaxStateBytes &&
         in.ReadString(&out, static_cast<int>(length));
}

absl::Status VisitResource(const StateHeader& header, std::string_view bytes,
                           const StateVisitor& visit) {
  v1::SavedResource resource;
  if (!resource.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return InvalidArgument("a resource cannot be read");
  }
  return visit(header, std::move(resource));
}

// A head lists its slices' versions, which must be those that they are held in.
void ForgetVersions(v1::SavedResource& saved) {
  saved.clear_version();
  v1::Endpoints endpoints;
  if (!saved.resource().UnpackTo(&endpoints) || !endpoints.has_head()) return;
  for (auto& slice : *endpoints.mutable_head()->mutable_slices()) slice.clear_version();
  saved.mutable_resource()->PackFrom(endpoints);
}

// Collects saved resources into responses and applies them to the replicas, as if they had come
// from a control plane: one way in, with one set of checks.
class Restorer {
 public:
  Restorer(Replica& replica, PolicyReplica& policy) : replica_(replica), policy_(policy) {}

  absl::Status Add(v1::SavedResource saved) {
    if (saved.resource().type_url() == api::kEndpointsType) {
      const auto name = api::EndpointsName::Parse(saved.name());
      if (name) replica_.Demand(std::string(name->service_key));
    }
    if (piece_.type_url() != saved.resource().type_url() ||
        piece_.resources_size() >= kResourcesPerPiece) {
      if (absl::Status status = Flush(); !status.ok()) return status;
      piece_.set_type_url(saved.resource().type_url());
    }
    auto* resource = piece_.add_resources();
    *resource->mutable_name() = std::move(*saved.mutable_name());
    *resource->mutable_version() = std::move(*saved.mutable_version());
    *resource->mutable_resource() = std::move(*saved.mutable_resource());
    return absl::OkStatus();
  }

  absl::Status Flush() {
    if (piece_.resources().empty()) return absl::OkStatus();
    absl::Status status =
        IsPolicyType(piece_.type_url()) ? policy_.Apply(piece_) : replica_.Apply(piece_).status();
    piece_.Clear();
    return status;
  }

 private:
  Replica& replica_;
  PolicyReplica& policy_;
  DeltaDiscoveryResponse piece_;
};

}  // namespace

void EncodeState(const StateImage& image, ZeroCopyOutputStream& body) {
  CodedOutputStream out(&body);
  out.WriteTag(kSyncedTag);
  out.WriteVarint64(static_cast<uint64_t>(absl::ToUnixMillis(image.synced)));
  // Before the resources: a reader decides by it what to believe of them.
  out.WriteTag(kWrittenByTag);
  out.WriteVarint32(static_cast<uint32_t>(image.written_by.size()));
  out.WriteString(image.written_by);
  BodyWriter resources(out);
  AddReplica(image.replica, resources);
  AddPolicy(image.policy, resources);
  if (image.proxy_config) resources.Add(*image.proxy_config);
}

absl::Status WriteState(const StateImage& image, const std::string& path) {
  ReplacingFile file(path);
  file.Append(std::string(kHeaderBytes, '\0'));
  BodyOutput output(file);
  {
    CopyingOutputStreamAdaptor body(&output, kPieceBytes);
    EncodeState(image, body);
  }
  file.Overwrite(output.MakeHeader());
  return file.Commit();
}

std::string SealState(std::string_view body) {
  return Header(body.size(), Fnv1a(body)).append(body);
}

absl::StatusOr<std::string_view> UnsealState(std::string_view file) {
  if (file.size() < kHeaderBytes || file.substr(0, kMagic.size()) != kMagic) {
    return InvalidArgument("not a state file of Portolan");
  }
  const char* at = file.data() + kMagic.size();
  const auto format = LoadLittleEndian<uint32_t>(at);
  if (format != kStateFormat) {
    return InvalidArgument("format {}, this program reads {}", format, kStateFormat);
  }
  const auto length = LoadLittleEndian<uint64_t>(at + 4);
  const std::string_view body = file.substr(kHeaderBytes);
  if (length != body.size()) {
    return InvalidArgument("{} bytes of content, {} expected", body.size(), length);
  }
  if (LoadLittleEndian<uint64_t>(at + 12) != Fnv1a(body)) {
    return InvalidArgument("the checksum does not fit the content");
  }
  return body;
}

absl::StatusOr<StateHeader> DecodeState(std::string_view file, const StateVisitor& visit) {
  if (file.size() > kMaxStateBytes) return InvalidArgument("too large");
  const auto body = UnsealState(file);
  if (!body.ok()) return body.status();
  CodedInputStream in(reinterpret_cast<const uint8_t*>(body->data()),
                      static_cast<int>(body->size()));
  StateHeader header;
  std::string bytes;
  while (const uint32_t tag = in.ReadTag()) {
    uint64_t millis = 0;
    bool read = false;
    if (tag == kSyncedTag) {
      read = in.ReadVarint64(&millis);
      header.synced = absl::FromUnixMillis(static_cast<int64_t>(millis));
    } else if (tag == kWrittenByTag) {
      read = ReadString(in, header.written_by);
    } else if (tag == kResourceTag) {
      read = ReadString(in, bytes);
      if (absl::Status status = read ? VisitResource(header, bytes, visit) : absl::OkStatus();
          !status.ok()) {
        return status;
      }
    }
    if (!read)
      return InvalidArgument("the content cannot be read at byte {}", in.CurrentPosition());
  }
  if (static_cast<size_t>(in.CurrentPosition()) != body->size()) {
    return InvalidArgument("the content ends at byte {}", in.CurrentPosition());
  }
  return header;
}

absl::StatusOr<RestoredState> RestoreState(std::string_view file, std::string_view reader,
                                           Directory::Slices slices, PolicyReplica::Own own) {
  RestoredState state;
  state.replica = std::make_unique<Replica>(slices);
  state.policy = std::make_unique<PolicyReplica>(own);
  Restorer restorer(*state.replica, *state.policy);
  const auto header = DecodeState(file, [&](const StateHeader& from, v1::SavedResource saved) {
    const bool keep_versions = from.written_by == reader;
    if (!keep_versions) ForgetVersions(saved);
    if (saved.resource().type_url() == api::kEgressPolicyType && saved.name() != own.name) {
      return absl::OkStatus();
    }
    if (saved.resource().type_url() != api::kProxyConfigType) return restorer.Add(std::move(saved));
    state.proxy_config = std::move(saved);
    return absl::OkStatus();
  });
  absl::Status status = header.status();
  status.Update(restorer.Flush());
  if (!status.ok()) return status;
  state.header = *header;
  return state;
}

}  // namespace portolan::proxy
