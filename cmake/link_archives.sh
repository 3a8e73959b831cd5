#!/bin/sh
# link_archives.sh COMMAND...: runs a link command with Debian's static archives in place of its shared
# libraries, wherever it ships both. A program's CXX_LINKER_LAUNCHER.
#
# CMake's packages for these libraries know the shared ones alone. What is an archive goes last and as
# a group: their order, right for shared libraries, says nothing about archives.
set -eu
archives=
for word do
  shift
  case $word in
    /*.so | /*.so.*)
      if [ -f "${word%%.so*}.a" ]; then
        archives="$archives ${word%%.so*}.a"
        continue
      fi
      ;;
    -lre2) continue ;;  # gRPC's package says it twice, once by its path
  esac
  set -- "$@" "$word"
done
# shellcheck disable=SC2086
exec "$@" -Wl,--start-group $archives -Wl,--end-group
