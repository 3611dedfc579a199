// The verifier of kernels that run block by block.
#include "compiler/schedule/verify_stripes.h"

#include <algorithm>

#include "compiler/ir/cat.h"
#include "compiler/schedule/kernel_work.h"
#include "compiler/schedule/stripes.h"

namespace etch {
namespace {

using Kind = ScheduledBuffer::Kind;

struct Use {
  const ScheduledKernel* kernel = nullptr;
  int access = 0, buffer = 0;
  bool stores = false;
};

class StripesCheck {
 public:
  StripesCheck(const Schedule& schedule, int number)
      : schedule_(schedule), stripes_(schedule.stripes[number]), number_(number) {
    for (int k = stripes_.first; k < stripes_.end(); ++k) {
      const ScheduledKernel& kernel = schedule.kernels[k];
      const std::vector<bool> stored = schedule::stored_accesses(kernel);
      for (size_t a = 0; a < stored.size(); ++a) {
        uses_.push_back({&kernel, static_cast<int>(a), kernel.buffers[a], stored[a]});
      }
    }
  }

  std::string run() const {
    const bool is_cut = stripes_.rows > 0 && stripes_.block > 0 && stripes_.block <= stripes_.segment &&
                        stripes_.segment <= stripes_.rows;
    if (!is_cut) return "blocks have no size";
    for (int k = stripes_.first; k < stripes_.end(); ++k) {
      const ScheduledKernel& kernel = schedule_.kernels[k];
      if (kernel.is_opaque() || !kernel.checks.empty()) return cat(kernel.name, " cannot run block by block");
      if (schedule::pieces_of_columns(kernel) != 1) return cat(kernel.name, " is cut into pieces of columns");
      if (kernel.iterations % stripes_.rows != 0) return cat(kernel.name, " has no whole rows");
    }
    for (const Use& use : uses_) {
      if (!use.stores && is_written_by_another(use) && !by_rows(use)) {
        return cat(use.kernel->name, " reads other rows than its own of b", use.buffer);
      }
      if (buffer(use).kind == Kind::stripe && !lies_inside(use)) {
        return cat(use.kernel->name, " uses b", use.buffer, " as if all of it were there");
      }
    }
    return {};
  }

 private:
  const ScheduledBuffer& buffer(const Use& use) const { return schedule_.buffers[use.buffer]; }

  bool by_rows(const Use& use) const {
    return schedule::goes_by_rows(*use.kernel, use.access, stripes_.rows, buffer(use).bytes);
  }

  /// True if another kernel of the stripes writes where this one reads.
  bool is_written_by_another(const Use& read) const {
    return std::ranges::any_of(uses_, [&](const Use& write) {
      return write.stores && write.kernel != read.kernel && (write.buffer == read.buffer || overlap(write, read));
    });
  }

  bool overlap(const Use& a, const Use& b) const {
    const ScheduledBuffer &x = buffer(a), &y = buffer(b);
    if (x.kind == Kind::stripe || x.kind != y.kind || (x.kind == Kind::output && x.index != y.index)) return false;
    return x.offset < y.offset + y.bytes && y.offset < x.offset + x.bytes;
  }

  bool lies_inside(const Use& use) const {
    const ScheduledBuffer& of = buffer(use);
    return of.index == number_ && by_rows(use) && of.row_bytes * stripes_.rows == of.bytes &&
           of.offset + room_of_stripe(schedule_, of) <= stripes_.bytes;
  }

  const Schedule& schedule_;
  const ScheduledStripes& stripes_;
  const int number_;
  std::vector<Use> uses_;
};

}  // namespace

int64_t room_of_stripe(const Schedule& schedule, const ScheduledBuffer& buffer) {
  return schedule.stripes[buffer.index].block * buffer.row_bytes + kStripeLine;
}

std::string check_stripes(const Schedule& schedule) {
  int end = 0;
  const auto is_stripe = [&](int id) { return schedule.buffers[id].kind == Kind::stripe; };
  const auto apart = [&](int from, int to) -> std::string {
    for (int k = from; k < to; ++k) {
      const ScheduledKernel& kernel = schedule.kernels[k];
      if (std::ranges::any_of(kernel.buffers, is_stripe)) return cat(kernel.name, " touches the memory of a block");
    }
    return {};
  };
  const auto num_kernels = static_cast<int>(schedule.kernels.size());
  for (int s = 0; s < static_cast<int>(schedule.stripes.size()); ++s) {
    const ScheduledStripes& stripes = schedule.stripes[s];
    if (stripes.first < end || stripes.count < 1 || stripes.end() > num_kernels) return "stripes are not in order";
    if (std::string error = apart(end, stripes.first); !error.empty()) return error;
    if (std::string error = StripesCheck(schedule, s).run(); !error.empty()) return cat("stripes ", s, ": ", error);
    end = stripes.end();
  }
  return apart(end, num_kernels);
}

}  // namespace etch
