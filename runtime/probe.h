// Probes of the machine: what a kernel's time is compared with.
#pragma once

namespace etch {

/// What this processor reaches at best, in so many threads.
struct MachinePeaks {
  double bytes_per_second = 0;  // copying long arrays: read and written bytes
  double fma_per_second = 0;    // f32 multiply-adds, in the widest vectors that it has
};

/// Measured at the first call for a number of threads, in about 50 ms.
MachinePeaks machine_peaks(int threads);

}  // namespace etch
