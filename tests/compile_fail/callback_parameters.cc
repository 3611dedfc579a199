// ERROR: etch: on_epoch_end of a callback has other parameters
#include <etch/model.h>
struct Printer {
  void on_epoch_end(int) {}
  void on_train_end(etch::Model&, etch::Logs&) {}
};
etch::Callback callback() { return Printer(); }
