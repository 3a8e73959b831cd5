#include "xds/dashboard/assets.h"

#include <string>

#include "xds/dashboard/entity_tag.h"

namespace portolan::xds {
namespace {

// Nothing but our own files and our own API; no inline script or style, no frame around the page.
constexpr char kContentPolicy[] =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'";

http::Response Answer(const Asset& asset, const http::Request& request) {
  http::Response response;
  response.content_type = asset.content_type;
  response.headers = {
      {"ETag", std::string(asset.etag)},
      {"Cache-Control", asset.immutable ? "public, max-age=31536000, immutable" : "no-cache"},
      {"Content-Security-Policy", kContentPolicy},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cross-Origin-Embedder-Policy", "require-corp"},
      {"Cross-Origin-Resource-Policy", "same-origin"}};
  if (NoneMatchNames(request, asset.etag)) {
    response.status = 304;
    return response;
  }
  response.headers.push_back({"Content-Encoding", "gzip"});
  response.body = asset.gzip;
  return response;
}

}  // namespace

void AddAssets(http::Server& server) {
  for (const Asset& asset : Assets()) {
    server.Get(std::string(asset.path),
               [&asset](const http::Request& request, http::Responder responder) {
                 responder.Send(Answer(asset, request));
               });
  }
}

}  // namespace portolan::xds
