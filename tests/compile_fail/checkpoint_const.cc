// ERROR: etch: a checkpoint could not restore an object that is const
#include <etch/checkpoint.h>
const int kStep = 3;
etch::NamedObject object() { return etch::named("step", kStep); }
