# cmake -DSOURCE=... -DWORK=... -DOUT=... -P build.cmake
#
# Builds the dashboard in the folder WORK, where node_modules and dist/ are, and writes its files as
# the bytes of OUT, a source of portolan_dashboard_assets (xds/dashboard/assets.h). What npm fetches is
# fetched again only when package-lock.json changes.
include(${CMAKE_CURRENT_LIST_DIR}/../../../cmake/embed.cmake)

file(MAKE_DIRECTORY ${WORK})
find_program(NPM npm)
find_program(NODE node)
find_program(GZIP gzip)
if(NOT NPM OR NOT NODE)
  message(FATAL_ERROR "The dashboard is built with node and npm, which are not installed: "
    "./dev build installs them (apt-get install nodejs npm)")
endif()

function(fetch)
  file(SHA256 ${SOURCE}/package-lock.json lock)
  if(EXISTS ${WORK}/installed)
    file(READ ${WORK}/installed installed)
    if(installed STREQUAL lock)
      return()
    endif()
  endif()
  file(COPY ${SOURCE}/package.json ${SOURCE}/package-lock.json DESTINATION ${WORK})
  execute_process(
    COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund
      --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=5000
    WORKING_DIRECTORY ${WORK} TIMEOUT 600 RESULT_VARIABLE result
    OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(NOT result EQUAL 0)
    execute_process(COMMAND ${NPM} config get registry OUTPUT_VARIABLE registry
      OUTPUT_STRIP_TRAILING_WHITESPACE)
    message(FATAL_ERROR "The dashboard's packages (xds/dashboard/web/package-lock.json) could not be "
      "fetched from ${registry}: npm ci ended with ${result}.\n${said}\n"
      "Another registry: npm config set registry URL. Without any, build on a machine that reaches "
      "one and copy its ${WORK}/node_modules and ${WORK}/installed here.")
  endif()
  file(WRITE ${WORK}/installed ${lock})
endfunction()

# run(WHAT ARGS...): node ARGS...
function(run what)
  execute_process(COMMAND ${NODE} ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE result
    OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "The dashboard: ${what} failed (${result}).\n${said}")
  endif()
endfunction()

function(content_type name out)
  set(.html "text/html; charset=utf-8")
  set(.js "text/javascript; charset=utf-8")
  set(.css "text/css; charset=utf-8")
  set(.svg "image/svg+xml")
  get_filename_component(extension ${name} LAST_EXT)
  if(NOT DEFINED ${extension})
    message(FATAL_ERROR "The dashboard: ${name}: what is its content type?")
  endif()
  set(${out} "${${extension}}" PARENT_SCOPE)
endfunction()

fetch()
# Sources are looked up beside node_modules. What is gone from the tree must be gone here.
file(REMOVE_RECURSE ${WORK}/src ${WORK}/dist)
file(COPY ${SOURCE}/src ${SOURCE}/index.html ${SOURCE}/tsconfig.json ${SOURCE}/vite.config.js
  DESTINATION ${WORK})
run("the check of types" node_modules/typescript/bin/tsc --noEmit)
run("vite build" node_modules/vite/bin/vite.js build --logLevel warn)

file(GLOB_RECURSE files LIST_DIRECTORIES false RELATIVE ${WORK}/dist ${WORK}/dist/*)
list(SORT files)
set(arrays "")
set(table "")
set(number 0)
foreach(name ${files})
  content_type(${name} type)
  execute_process(COMMAND ${GZIP} -9nc ${WORK}/dist/${name} OUTPUT_FILE ${WORK}/asset.gz
    COMMAND_ERROR_IS_FATAL ANY)
  portolan_bytes(${WORK}/asset.gz bytes)
  file(SHA256 ${WORK}/asset.gz hash)
  string(SUBSTRING ${hash} 0 20 hash)
  # Vite puts the hash of their content into the names of all that index.html refers to.
  set(immutable false)
  if(name MATCHES "^assets/")
    set(immutable true)
  endif()
  string(APPEND arrays "constexpr unsigned char kBytes${number}[] = {${bytes}};\n")
  string(APPEND table "    {\"/${name}\", \"${type}\", Bytes(kBytes${number}), \"\\\"${hash}\\\"\", "
    "${immutable}},\n")
  math(EXPR number "${number} + 1")
endforeach()
string(REPLACE "{\"/index.html\"" "{\"/\"" table "${table}")
file(WRITE ${OUT} "#include \"xds/dashboard/assets.h\"

namespace portolan::xds {
namespace {
template <size_t kSize>
std::string_view Bytes(const unsigned char (&bytes)[kSize]) {
  return {reinterpret_cast<const char*>(bytes), kSize};
}
${arrays}
}  // namespace

std::span<const Asset> Assets() {
  static const Asset kAssets[] = {
${table}  };
  return kAssets;
}

}  // namespace portolan::xds
")
