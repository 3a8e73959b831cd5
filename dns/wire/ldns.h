// ldns (https://nlnetlabs.nl/documentation/ldns/), for all that is not the hot path. The one place
// that includes it: its headers make macros of bool, true and false unless <stdbool.h> was there.
#pragma once

// clang-format off
#include <stdbool.h>
#include <ldns/ldns.h>
// clang-format on

#undef bool
#undef true
#undef false
