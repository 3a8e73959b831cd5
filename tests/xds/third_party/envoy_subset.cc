// envoy_subset FILE: holds every message, enum and service of xds/api/envoy and xds/api/google
// against FILE, what protoc --include_imports --descriptor_set_out made of the full .proto files:
// number, name, type and label of each field, number of each enum value, types of each method.
// Prints what differs; status 1 if anything does.
#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <fstream>
#include <set>
#include <string>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/service/discovery/v3/ads.pb.h"
#include "envoy/service/status/v3/csds.pb.h"

namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::ServiceDescriptor;

// Compares with what is in `full`, counting what was compared.
class Comparison {
 public:
  explicit Comparison(const DescriptorPool& full) : full_(full) {}

  void Compare(const FileDescriptor& file) {
    for (int i = 0; i < file.message_type_count(); ++i) Compare(*file.message_type(i));
    for (int i = 0; i < file.enum_type_count(); ++i) Compare(*file.enum_type(i));
    for (int i = 0; i < file.service_count(); ++i) Compare(*file.service(i));
  }

  int differences() const { return differences_; }
  int fields() const { return fields_; }

 private:
  void Compare(const Descriptor& ours) {
    const Descriptor* theirs = full_.FindMessageTypeByName(ours.full_name());
    if (theirs == nullptr) return Differs("no message {}", ours.full_name());
    for (int i = 0; i < ours.field_count(); ++i) {
      ++fields_;
      const std::string own = Describe(*ours.field(i));
      const FieldDescriptor* field = theirs->FindFieldByNumber(ours.field(i)->number());
      const std::string other = field == nullptr ? "nothing" : Describe(*field);
      if (own != other) Differs("{}: {} here, {} there", ours.full_name(), own, other);
    }
    for (int i = 0; i < ours.nested_type_count(); ++i) {
      if (!ours.nested_type(i)->options().map_entry()) Compare(*ours.nested_type(i));
    }
    for (int i = 0; i < ours.enum_type_count(); ++i) Compare(*ours.enum_type(i));
  }

  void Compare(const EnumDescriptor& ours) {
    const EnumDescriptor* theirs = full_.FindEnumTypeByName(ours.full_name());
    if (theirs == nullptr) return Differs("no enum {}", ours.full_name());
    for (int i = 0; i < ours.value_count(); ++i) {
      const auto* value = theirs->FindValueByName(ours.value(i)->name());
      if (value == nullptr || value->number() != ours.value(i)->number()) {
        Differs("{}: {} = {} is another there", ours.full_name(), ours.value(i)->name(),
                ours.value(i)->number());
      }
    }
  }

  void Compare(const ServiceDescriptor& ours) {
    const ServiceDescriptor* theirs = full_.FindServiceByName(ours.full_name());
    if (theirs == nullptr) return Differs("no service {}", ours.full_name());
    for (int i = 0; i < ours.method_count(); ++i) {
      const auto& own = *ours.method(i);
      const auto* other = theirs->FindMethodByName(own.name());
      if (other == nullptr || own.client_streaming() != other->client_streaming() ||
          own.server_streaming() != other->server_streaming() ||
          own.input_type()->full_name() != other->input_type()->full_name() ||
          own.output_type()->full_name() != other->output_type()->full_name()) {
        Differs("{} is another there", own.full_name());
      }
    }
  }

  static std::string Describe(const FieldDescriptor& field) {
    std::string type = field.type_name();
    if (field.is_map()) {
      type = fmt::format("map<{}, {}>", Describe(*field.message_type()->field(0)),
                         Describe(*field.message_type()->field(1)));
    } else if (field.message_type() != nullptr) {
      type = field.message_type()->full_name();
    } else if (field.enum_type() != nullptr) {
      type = field.enum_type()->full_name();
    }
    const auto* choice = field.real_containing_oneof();
    return fmt::format("{}{} {} = {}{}", field.is_repeated() ? "repeated " : "", type, field.name(),
                       field.number(), choice == nullptr ? "" : " of " + choice->name());
  }

  template <typename... Args>
  void Differs(fmt::format_string<Args...> format, Args&&... args) {
    ++differences_;
    fmt::print("{}\n", fmt::format(format, std::forward<Args>(args)...));
  }

  const DescriptorPool& full_;
  int differences_ = 0;
  int fields_ = 0;
};

// All files of the subset that `file` leads to.
void Collect(const FileDescriptor& file, std::set<const FileDescriptor*>& files) {
  const std::string& name = file.name();
  if (name.rfind("envoy/", 0) != 0 && name.rfind("google/rpc/", 0) != 0) return;
  if (!files.insert(&file).second) return;
  for (int i = 0; i < file.dependency_count(); ++i) Collect(*file.dependency(i), files);
}

std::set<const FileDescriptor*> SubsetFiles() {
  namespace config = envoy::config;
  namespace filters = envoy::extensions::filters;
  std::set<const FileDescriptor*> files;
  const Descriptor* roots[] = {
      config::cluster::v3::Cluster::descriptor(),
      config::endpoint::v3::ClusterLoadAssignment::descriptor(),
      config::listener::v3::Listener::descriptor(),
      config::route::v3::RouteConfiguration::descriptor(),
      envoy::service::status::v3::ClientConfig::descriptor(),
      filters::http::router::v3::Router::descriptor(),
      filters::network::http_connection_manager::v3::HttpConnectionManager::descriptor(),
      filters::network::tcp_proxy::v3::TcpProxy::descriptor()};
  for (const Descriptor* root : roots) Collect(*root->file(), files);
  const envoy::service::discovery::v3::DeltaDiscoveryRequest links_ads;
  const auto* ads =
      DescriptorPool::generated_pool()->FindFileByName("envoy/service/discovery/v3/ads.proto");
  if (ads != nullptr) Collect(*ads, files);
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  google::protobuf::FileDescriptorSet set;
  std::ifstream in(argc == 2 ? argv[1] : "", std::ios::binary);
  if (!set.ParseFromIstream(&in)) return 2;
  DescriptorPool full;
  for (const auto& file : set.file()) {
    if (full.BuildFile(file) == nullptr) return 2;
  }
  Comparison comparison(full);
  for (const FileDescriptor* file : SubsetFiles()) comparison.Compare(*file);
  fmt::print("{} fields, {} differences\n", comparison.fields(), comparison.differences());
  return comparison.differences() == 0 ? 0 : 1;
}
