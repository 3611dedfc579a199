// cache: elements of the first whole walk are kept, in memory or in a file. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "etch/data/element_stages.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {
namespace detail {

[[noreturn]] void fail_cache_type(Location where);
[[noreturn]] void fail_cache_size(int64_t elements, int64_t max_bytes);
/// Whichever walk fills a cache, it holds the elements of epoch 0.
inline OpenContext cached_context(OpenContext context) {
  context.epoch = 0;
  return context;
}

// ---- in memory

template <class T>
class CacheStage final : public OneInputStage<T, T> {
 public:
  CacheStage(StageRef<T> input, int64_t max_bytes) : OneInputStage<T, T>(std::move(input)), max_bytes_(max_bytes) {}
  std::string_view name() const override { return "cache"; }
  int64_t cardinality() const override { return this->input_->cardinality(); }
  std::vector<ElementSpec> element_spec() const override { return this->input_->element_spec(); }
  std::unique_ptr<Cursor<T>> open(const OpenContext& context) const override {
    return std::make_unique<CacheCursor>(*this, context);
  }

 private:
  using Elements = std::shared_ptr<const std::vector<T>>;

  Elements kept() const {
    const std::lock_guard lock(mutex_);
    return kept_;
  }
  void keep(std::vector<T> elements) const {
    const std::lock_guard lock(mutex_);
    if (!kept_) kept_ = std::make_shared<const std::vector<T>>(std::move(elements));
  }

  class CacheCursor final : public Cursor<T> {
   public:
    CacheCursor(const CacheStage& stage, const OpenContext& context) : stage_(stage), kept_(stage.kept()) {
      if (!kept_) input_ = stage_.input_->open(cached_context(context));
    }
    bool next(T& out) override {
      if (kept_) {
        if (position_ >= static_cast<int64_t>(kept_->size())) return false;
        out = (*kept_)[static_cast<size_t>(position_++)];
        return true;
      }
      if (has_ended_) return false;
      bool has_one = false;
      try {
        has_one = input_->next(out);
      } catch (...) {
        is_whole_ = false;  // nobody knows what the element would have been
        fresh_.clear();
        throw;
      }
      if (!has_one) {
        has_ended_ = true;
        if (is_whole_) stage_.keep(std::move(fresh_));
        return false;
      }
      ++position_;
      if (!is_whole_) return true;
      bytes_ += bytes_of_element(out);
      if (bytes_ > stage_.max_bytes_) fail_cache_size(position_, stage_.max_bytes_);
      fresh_.push_back(out);
      return true;
    }
    int64_t skip(int64_t n) override {
      int64_t done = 0;
      if (kept_) {
        done = std::min(n, static_cast<int64_t>(kept_->size()) - position_);
        position_ += done;
        return done;
      }
      return Cursor<T>::skip(n);
    }
    void save(SavedState& state) const override {
      state.set("position", position_);
      if (!input_) return;
      SavedState part;
      input_->save(part);
      state.set_part("input", part);
    }
    /// What was not seen in this walk cannot be kept, so one that begins in the middle fills no cache.
    void restore(const SavedState& state) override {
      position_ = state.get<int64_t>("position");
      if (kept_) {
        position_ = std::min(position_, static_cast<int64_t>(kept_->size()));
        return;
      }
      is_whole_ = position_ == 0;
      const SavedState part = state.part("input");
      if (!part.empty()) return input_->restore(part);
      if (input_->skip(position_) < position_) has_ended_ = true;
    }
    bool replays() const override { return input_ && input_->replays(); }

   private:
    const CacheStage& stage_;
    Elements kept_;
    std::unique_ptr<Cursor<T>> input_;
    std::vector<T> fresh_;
    int64_t position_ = 0, bytes_ = 0;
    bool is_whole_ = true, has_ended_ = false;
  };

  const int64_t max_bytes_;
  mutable std::mutex mutex_;
  mutable Elements kept_;
};

// ---- in a file

/// Writes elements beside a path; the file takes its place when it is whole.
class CacheWriter {
 public:
  /// `type` says what elements it holds.
  CacheWriter(std::string path, std::string_view type);
  ~CacheWriter();
  CacheWriter(const CacheWriter&) = delete;
  CacheWriter& operator=(const CacheWriter&) = delete;
  void add(const Encoder& element);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Reads what a CacheWriter wrote. Error that names path and byte.
class CacheReader {
 public:
  static bool exists(const std::string& path);
  CacheReader(const std::string& path, std::string_view type);
  ~CacheReader();
  CacheReader(const CacheReader&) = delete;
  CacheReader& operator=(const CacheReader&) = delete;
  /// The bytes of the next element, until the next call; false at the end.
  bool next(std::string_view& element);
  /// The same without reading them.
  bool skip();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

template <class T>
constexpr std::string_view element_type_name() {
  return __PRETTY_FUNCTION__;
}

template <class T>
class FileCacheStage final : public OneInputStage<T, T> {
 public:
  static_assert(
      kSavable<T>,
      "etch: a cache in a file takes tensors, numbers, std::strings, and tuples, vectors and plain structs of "
      "these");

  FileCacheStage(StageRef<T> input, std::string path) : OneInputStage<T, T>(std::move(input)), path_(std::move(path)) {}
  std::string_view name() const override { return "cache"; }
  int64_t cardinality() const override { return this->input_->cardinality(); }
  std::vector<ElementSpec> element_spec() const override { return this->input_->element_spec(); }
  std::unique_ptr<Cursor<T>> open(const OpenContext& context) const override {
    return std::make_unique<FileCursor>(*this, context);
  }

 private:
  /// Other elements have other names; files of other pipelines are refused.
  std::string type() const { return std::string(element_type_name<T>()) + " of " + this->input_->path(); }

  class FileCursor final : public Cursor<T> {
   public:
    FileCursor(const FileCacheStage& stage, const OpenContext& context) : stage_(stage) {
      if (CacheReader::exists(stage_.path_)) {
        reader_ = std::make_unique<CacheReader>(stage_.path_, stage_.type());
      } else {
        input_ = stage_.input_->open(cached_context(context));
      }
    }
    bool next(T& out) override {
      if (has_ended_) return false;
      if (reader_) return read(out);
      try {
        if (position_ == 0 && !writer_ && is_whole_)
          writer_ = std::make_unique<CacheWriter>(stage_.path_, stage_.type());
        if (!input_->next(out)) {
          has_ended_ = true;
          if (writer_) writer_->finish();
          writer_.reset();
          return false;
        }
        ++position_;
        if (!writer_) return true;
        bytes_.clear();
        encode(out, bytes_);
        writer_->add(bytes_);
        return true;
      } catch (...) {
        writer_.reset();
        is_whole_ = false;
        throw;
      }
    }
    int64_t skip(int64_t n) override {
      if (!reader_) return Cursor<T>::skip(n);
      int64_t done = 0;
      while (done < n && reader_->skip()) ++done;
      position_ += done;
      return done;
    }
    void save(SavedState& state) const override {
      state.set("position", position_);
      if (!input_) return;
      SavedState part;
      input_->save(part);
      state.set_part("input", part);
    }
    void restore(const SavedState& state) override {
      const auto target = state.get<int64_t>("position");
      const SavedState part = state.part("input");
      is_whole_ = target == 0;
      if (input_ && !part.empty()) {
        input_->restore(part);
        position_ = target;
      } else if (input_) {
        position_ = input_->skip(target);
      } else {
        skip(target);
      }
    }
    bool replays() const override { return input_ && input_->replays(); }

   private:
    bool read(T& out) {
      std::string_view bytes;
      try {
        if (!reader_->next(bytes)) return false;
        Decoder from(bytes);
        decode(from, out);
      } catch (...) {
        has_ended_ = true;
        throw;
      }
      ++position_;
      return true;
    }

    const FileCacheStage& stage_;
    std::unique_ptr<CacheReader> reader_;
    std::unique_ptr<Cursor<T>> input_;
    std::unique_ptr<CacheWriter> writer_;
    Encoder bytes_;
    int64_t position_ = 0;
    bool is_whole_ = true, has_ended_ = false;
  };

  const std::string path_;
};

}  // namespace detail
}  // namespace data
}  // namespace etch
