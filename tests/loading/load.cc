// Loads a library whose constructor runs functions, calls it, and lets go of it. A lock that two threads wait for hangs here.
#include <dlfcn.h>

#include <cstdio>

int main(int, char** arguments) {
  void* const library = dlopen(arguments[1], RTLD_NOW);
  if (library == nullptr) {
    std::fprintf(stderr, "load: %s\n", dlerror());
    return 1;
  }
  const auto result = reinterpret_cast<float (*)()>(dlsym(library, "result_of_loading"));
  const float sum = result();
  dlclose(library);
  std::printf("the constructor's sum: %g\n", sum);
  return sum > 0 ? 0 : 1;
}
