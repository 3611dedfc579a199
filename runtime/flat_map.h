// Hash maps and sets in one piece of memory, which stay whole where memory runs out: those of Abseil do not.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include <functional>

#include "absl/hash/hash.h"

namespace etch {

template <class Key, class Value, class Hash = absl::Hash<Key>, class Equal = std::equal_to<Key>>
using FlatMap = boost::unordered_flat_map<Key, Value, Hash, Equal>;

template <class Key, class Hash = absl::Hash<Key>, class Equal = std::equal_to<Key>>
using FlatSet = boost::unordered_flat_set<Key, Hash, Equal>;

}  // namespace etch
