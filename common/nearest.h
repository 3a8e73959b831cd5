// "did you mean ...?" for words that are not known. Any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace portolan {

// The known word that is the fewest typing errors (a letter missing, added, wrong, or two swapped)
// away from `word`, or an empty view if none is near: at most one error for each three letters.
std::string_view NearestWord(std::string_view word, std::span<const std::string_view> known);

// ", did you mean 'kubernetes'?", or nothing.
std::string DidYouMean(std::string_view word, std::span<const std::string_view> known);

}  // namespace portolan
