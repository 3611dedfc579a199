// The scratch memory that each thread keeps between runs.
#include "runtime/arena.h"

namespace etch {
namespace {

thread_local Buffer kept;

}  // namespace

ScratchArena::ScratchArena(int64_t bytes) {
  if (bytes == 0) return;
  // A kernel may run another function of this thread meanwhile: it then finds nothing kept and allocates.
  if (kept.bytes() >= bytes) {
    buffer_ = std::move(kept);
    return;
  }
  buffer_ = Buffer::allocate(bytes);
}

ScratchArena::~ScratchArena() {
  if (buffer_ && buffer_.bytes() <= kMaxKeptBytes && buffer_.bytes() > kept.bytes()) kept = std::move(buffer_);
}

}  // namespace etch
