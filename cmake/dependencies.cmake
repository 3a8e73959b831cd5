# Everything comes from Debian 12. ./dev installs it; nothing is fetched by CMake.
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
# Debian ships no CMake config for protobuf, so module mode; gRPC's config needs it found first.
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(yaml-cpp CONFIG REQUIRED)
find_package(simdjson CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(CURL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(PkgConfig REQUIRED)
# The prefix is not the package's own name: a variable `re2` or `absl` set here breaks gRPC's config
# on the second configure.
pkg_check_modules(PC_LIBEVENT REQUIRED IMPORTED_TARGET libevent libevent_pthreads)
pkg_check_modules(PC_LDNS REQUIRED IMPORTED_TARGET ldns)
pkg_check_modules(PC_NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(PC_LIBCAP REQUIRED IMPORTED_TARGET libcap)
pkg_check_modules(PC_RE2 REQUIRED IMPORTED_TARGET re2)
pkg_check_modules(PC_SQLITE REQUIRED IMPORTED_TARGET sqlite3)

# libhttp-parser has no config and no .pc file.
find_path(HTTP_PARSER_INCLUDE_DIR http_parser.h REQUIRED)
find_library(HTTP_PARSER_LIBRARY http_parser REQUIRED)
add_library(http_parser INTERFACE)
target_include_directories(http_parser SYSTEM INTERFACE ${HTTP_PARSER_INCLUDE_DIR})
target_link_libraries(http_parser INTERFACE ${HTTP_PARSER_LIBRARY})

find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)
