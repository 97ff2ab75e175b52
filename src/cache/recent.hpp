// What was used last, within a limit of bytes.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

namespace qkjit {

/// The order of use of things that are kept elsewhere, under their names. Not thread-safe.
class Recent {
 public:
  explicit Recent(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  /// Notes the use of what was added; nothing for a name that was not.
  void use(const std::string& name) {
    const auto found = places_.find(name);
    if (found != places_.end()) order_.splice(order_.begin(), order_, found->second);
  }

  /// Adds or replaces; gives the names that have to go, those used longest ago, never `name`.
  std::vector<std::string> add(const std::string& name, std::uint64_t bytes) {
    if (const auto found = places_.find(name); found != places_.end()) drop(found->second);
    order_.push_front({name, bytes});
    places_[name] = order_.begin();
    bytes_ += bytes;
    std::vector<std::string> gone;
    while (bytes_ > max_bytes_ && order_.size() > 1) {
      gone.push_back(order_.back().name);
      drop(std::prev(order_.end()));
    }
    return gone;
  }

 private:
  struct Item {
    std::string name;
    std::uint64_t bytes;
  };

  void drop(std::list<Item>::iterator item) {
    bytes_ -= item->bytes;
    places_.erase(item->name);
    order_.erase(item);
  }

  std::uint64_t max_bytes_, bytes_ = 0;
  std::list<Item> order_;  // the last used first
  std::unordered_map<std::string, std::list<Item>::iterator> places_;
};

}  // namespace qkjit
