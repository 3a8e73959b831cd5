// The dashboard's files, compiled into the program: what `npm ci` and Vite made of
// xds/dashboard/web.
//
//   GET /           the page
//   GET /assets/*   its script, style and icon
//
// Every answer is gzipped (all browsers take it; `curl --compressed`). The files below /assets
// carry the hash of their content in their names and are kept by browsers for a year; the page
// itself is asked for each time and is answered 304 while it is the same. No token is asked for
// here: nothing of a cluster is in it. Any thread; AddAssets on the server's loop.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "common/http/server.h"

namespace portolan::xds {

struct Asset {
  std::string_view path;  // as a request has it: "/", "/assets/index-B4f2.js"
  std::string_view content_type;
  std::string_view gzip;
  std::string_view etag;  // with its quotes
  bool immutable;
};

std::span<const Asset> Assets();

// Adds their routes to `server`.
void AddAssets(http::Server& server);

}  // namespace portolan::xds
