// Libraries of matrix products beside Etch: the workloads of products in rows.py, as the driver of benchmarks/peers asks for them by
// lines of JSON; benchmarks/peers/worker.py says what the lines mean.
//
//   bench_native openblas|blis|onednn|libxsmm|eigen THREADS
//
// OpenBLAS and BLIS offer the same names, so each is loaded when it is the one that is asked for.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#ifdef ETCH_PEERS_ONEDNN
#include <dnnl.hpp>
#endif
#ifdef ETCH_PEERS_XSMM
#include <libxsmm.h>
#endif
#ifdef ETCH_PEERS_EIGEN
#include <Eigen/Dense>
#endif

namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

/// Bytes at a page's border.
std::unique_ptr<char, Free> allocate(size_t bytes) {
  return std::unique_ptr<char, Free>(static_cast<char*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)));
}

/// An array of a .npy file of version 1: f4 or f8, C order.
struct Array {
  std::vector<int64_t> shape;
  bool is_double = false;
  std::unique_ptr<char, Free> data;

  int64_t size() const {
    int64_t n = 1;
    for (int64_t extent : shape) n *= extent;
    return n;
  }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data.get());
  }
};

Array load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char head[10];
  if (!file.read(head, sizeof head) || std::memcmp(head, "\x93NUMPY", 6) != 0) throw std::runtime_error(path + " is no .npy file");
  std::string header(static_cast<unsigned char>(head[8]) + 256 * static_cast<unsigned char>(head[9]), ' ');
  file.read(header.data(), static_cast<std::streamsize>(header.size()));
  Array array;
  array.is_double = header.find("<f8") != std::string::npos;
  if (!array.is_double && header.find("<f4") == std::string::npos) throw std::runtime_error(path + " holds neither f4 nor f8");
  const std::string shape = header.substr(header.find('('), header.find(')') - header.find('('));
  static const std::regex number("[0-9]+");
  for (std::sregex_iterator it(shape.begin(), shape.end(), number), end; it != end; ++it) array.shape.push_back(std::stoll(it->str()));
  const size_t bytes = array.size() * (array.is_double ? 8 : 4);
  array.data = allocate(bytes);
  if (!file.read(array.data.get(), static_cast<std::streamsize>(bytes))) throw std::runtime_error(path + " is too short");
  return array;
}

void save(const std::string& path, const std::vector<int64_t>& shape, bool is_double, const char* data) {
  std::string extents;
  int64_t size = is_double ? 8 : 4;
  for (int64_t extent : shape) extents += std::to_string(extent) + ",", size *= extent;
  std::string header = std::string("{'descr': '<f") + (is_double ? '8' : '4') + "', 'fortran_order': False, 'shape': (" + extents + "), }";
  header.resize((header.size() + 11 + 63) / 64 * 64 - 11, ' ');
  header += '\n';
  const char head[] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, static_cast<char>(header.size() % 256), static_cast<char>(header.size() / 256)};
  std::ofstream(path, std::ios::binary).write(head, sizeof head).write(header.data(), header.size()).write(data, size);
}

/// c = a b, `batch` times, row-major and dense. With a bias it is gelu(a b + bias), the form with tanh, and b is constant.
struct Product {
  int64_t batch, m, k, n;
  bool is_double;
  const char *a, *b, *bias = nullptr;
};

/// Multiplies into c. Made anew for each product: where a library prepares something, it does so before.
using Multiply = std::function<void(char* c)>;

/// Calls one(i) for each of a batch; a single one, or one thread, pays for no team of threads.
template <class One>
void over_batch(int64_t batch, int threads, One one) {
  if (threads == 1 || batch == 1) {
    for (int64_t i = 0; i < batch; ++i) one(i);
    return;
  }
#pragma omp parallel for num_threads(threads)
  for (int64_t i = 0; i < batch; ++i) one(i);
}

/// A library at a number of threads.
class Library {
 public:
  virtual ~Library() = default;
  virtual std::string version() const = 0;
  virtual std::string settings() const = 0;
  virtual Multiply prepare(const Product& product) = 0;
  /// Whether it takes a product with a bias.
  virtual bool fuses() const { return false; }
};

/// gemm of the C interface of BLAS, from a shared library.
class Blas final : public Library {
 public:
  Blas(const std::string& name, int threads) : name_(name), threads_(threads) {
    const bool openblas = name == "openblas";
    const char* file = openblas ? "libopenblas.so.0" : "libblis.so.4";
    handle_ = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (handle_ == nullptr) throw std::runtime_error(dlerror());
    sgemm_ = symbol<decltype(sgemm_)>("cblas_sgemm");
    dgemm_ = symbol<decltype(dgemm_)>("cblas_dgemm");
    if (openblas) {
      symbol<void (*)(int)>("openblas_set_num_threads")(threads);
      version_ = std::string(symbol<const char* (*)()>("openblas_get_config")()) + ", " + symbol<const char* (*)()>("openblas_get_corename")();
    } else {
      symbol<void (*)(int64_t)>("bli_thread_set_num_threads")(threads);
      version_ = symbol<const char* (*)()>("bli_info_get_version_str")();
    }
  }

  std::string version() const override { return version_; }
  std::string settings() const override {
    return "cblas_sgemm and cblas_dgemm, row-major, " + std::to_string(threads_) + " threads; a batch is a loop of products";
  }

  Multiply prepare(const Product& p) override {
    // Of many small products each is one call.
    return [this, p](char* c) {
      const int m = static_cast<int>(p.m), k = static_cast<int>(p.k), n = static_cast<int>(p.n);
      for (int64_t i = 0; i < p.batch; ++i) {
        if (p.is_double) {
          dgemm_(101, 111, 111, m, n, k, 1, at<double>(p.a, i * m * k), k, at<double>(p.b, i * k * n), n, 0, at<double>(c, i * m * n), n);
        } else {
          sgemm_(101, 111, 111, m, n, k, 1, at<float>(p.a, i * m * k), k, at<float>(p.b, i * k * n), n, 0, at<float>(c, i * m * n), n);
        }
      }
    };
  }

 private:
  template <class T>
  static const T* at(const char* data, int64_t i) {
    return reinterpret_cast<const T*>(data) + i;
  }
  template <class T>
  static T* at(char* data, int64_t i) {
    return reinterpret_cast<T*>(data) + i;
  }
  template <class F>
  F symbol(const char* name) const {
    void* found = dlsym(handle_, name);
    if (found == nullptr) throw std::runtime_error(dlerror());
    return reinterpret_cast<F>(found);
  }

  std::string name_, version_;
  int threads_;
  void* handle_;
  void (*sgemm_)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
  void (*dgemm_)(int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*, int);
};

#ifdef ETCH_PEERS_ONEDNN
/// Its matmul primitive, with bias and gelu as post-operations; a constant operand is put into the layout that it likes.
class OneDnn final : public Library {
 public:
  explicit OneDnn(int threads) : threads_(threads) {}
  std::string version() const override {
    const dnnl_version_t* v = dnnl_version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
  }
  std::string settings() const override {
    return "dnnl::matmul, operands row-major, OMP_NUM_THREADS=" + std::to_string(threads_) +
           "; bias and gelu as post-operations of a product with constant weights, whose layout it chooses";
  }
  bool fuses() const override { return true; }

  Multiply prepare(const Product& p) override {
    if (p.is_double) throw std::invalid_argument("multiplies no f64");
    using namespace dnnl;
    using Tag = memory::format_tag;
    const auto describe = [&](int64_t rows, int64_t columns, Tag tag) {
      return p.batch == 1 ? memory::desc({rows, columns}, memory::data_type::f32, tag)
                          : memory::desc({p.batch, rows, columns}, memory::data_type::f32, tag);
    };
    const Tag rows = p.batch == 1 ? Tag::ab : Tag::abc;
    const auto a = describe(p.m, p.k, rows), b = describe(p.k, p.n, rows), c = describe(p.m, p.n, rows);
    memory left(a, engine_, const_cast<char*>(p.a)), right(b, engine_, const_cast<char*>(p.b));
    std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, left}};
    std::optional<matmul::primitive_desc> chosen;
    if (p.bias == nullptr) {
      chosen.emplace(matmul::desc(a, b, c), engine_);
    } else {
      const auto bias = describe(1, p.n, rows);
      post_ops then;
      then.append_eltwise(1, algorithm::eltwise_gelu_tanh, 0, 0);
      primitive_attr attributes;
      attributes.set_post_ops(then);
      chosen.emplace(matmul::desc(a, describe(p.k, p.n, Tag::any), bias, c), attributes, engine_);
      memory packed(chosen->weights_desc(), engine_);
      reorder(right, packed).execute(stream_, right, packed);
      stream_.wait();
      right = packed;
      arguments.emplace(DNNL_ARG_BIAS, memory(bias, engine_, const_cast<char*>(p.bias)));
    }
    arguments.emplace(DNNL_ARG_WEIGHTS, right);
    arguments.emplace(DNNL_ARG_DST, memory(c, engine_, nullptr));
    return [this, primitive = matmul(*chosen), arguments](char* into) mutable {
      arguments.at(DNNL_ARG_DST).set_data_handle(into);
      primitive.execute(stream_, arguments);
      stream_.wait();
    };
  }

 private:
  int threads_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
};
#endif

#ifdef ETCH_PEERS_XSMM
/// Kernels that are compiled for a size; batches in OpenMP's threads. Its own advice is up to (m n k)^(1/3) of 64.
class Xsmm final : public Library {
 public:
  explicit Xsmm(int threads) : threads_(threads) { libxsmm_init(); }
  std::string version() const override { return LIBXSMM_VERSION; }
  std::string settings() const override {
    return "libxsmm_smmdispatch, a kernel for each size up to 128; batches over " + std::to_string(threads_) + " threads of OpenMP";
  }

  Multiply prepare(const Product& p) override {
    if (std::max({p.m, p.k, p.n}) > 128) throw std::invalid_argument("is for products up to about 64; these are larger");
    // Column-major kernels: the transposed product of the operands in the other order.
    const auto m = static_cast<libxsmm_blasint>(p.n), n = static_cast<libxsmm_blasint>(p.m), k = static_cast<libxsmm_blasint>(p.k);
    const int flags = LIBXSMM_GEMM_FLAG_NONE;
    if (p.is_double) {
      const double one = 1, zero = 0;
      return loop<double>(p, libxsmm_dmmdispatch(m, n, k, &m, &k, &m, &one, &zero, &flags, nullptr));
    }
    const float one = 1, zero = 0;
    return loop<float>(p, libxsmm_smmdispatch(m, n, k, &m, &k, &m, &one, &zero, &flags, nullptr));
  }

 private:
  template <class T, class Kernel>
  Multiply loop(const Product& p, Kernel kernel) const {
    if (kernel == nullptr) throw std::invalid_argument("has no kernel of this size");
    return [p, kernel, threads = threads_](char* into) {
      const T *a = reinterpret_cast<const T*>(p.a), *b = reinterpret_cast<const T*>(p.b);
      T* c = reinterpret_cast<T*>(into);
      over_batch(p.batch, threads, [&](int64_t i) { kernel(b + i * p.k * p.n, a + i * p.m * p.k, c + i * p.m * p.n); });
    };
  }
  int threads_;
};
#endif

#ifdef ETCH_PEERS_EIGEN
class OfEigen final : public Library {
 public:
  explicit OfEigen(int threads) : threads_(threads) { Eigen::setNbThreads(threads); }
  std::string version() const override {
    return std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." + std::to_string(EIGEN_MINOR_VERSION);
  }
  std::string settings() const override {
    return "c.noalias() = a * b, -O3 -march=native -ffp-contract=fast -fopenmp, " + std::to_string(threads_) + " threads";
  }
  Multiply prepare(const Product& p) override { return p.is_double ? of<double>(p) : of<float>(p); }

 private:
  template <class T>
  Multiply of(const Product& p) const {
    using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    return [p, threads = threads_](char* into) {
      const T *a = reinterpret_cast<const T*>(p.a), *b = reinterpret_cast<const T*>(p.b);
      T* c = reinterpret_cast<T*>(into);
      over_batch(p.batch, threads, [&](int64_t i) {
        const Eigen::Map<const Matrix> left(a + i * p.m * p.k, p.m, p.k), right(b + i * p.k * p.n, p.k, p.n);
        Eigen::Map<Matrix>(c + i * p.m * p.n, p.m, p.n).noalias() = left * right;
      });
    };
  }
  int threads_;
};
#endif

std::unique_ptr<Library> open(const std::string& name, int threads) {
  if (name == "openblas" || name == "blis") return std::make_unique<Blas>(name, threads);
#ifdef ETCH_PEERS_ONEDNN
  if (name == "onednn") return std::make_unique<OneDnn>(threads);
#endif
#ifdef ETCH_PEERS_XSMM
  if (name == "libxsmm") return std::make_unique<Xsmm>(threads);
#endif
#ifdef ETCH_PEERS_EIGEN
  if (name == "eigen") return std::make_unique<OfEigen>(threads);
#endif
  throw std::runtime_error("bench_native was built without " + name);
}

/// One product at a time, as a worker of the comparison.
class Worker {
 public:
  explicit Worker(Library& library) : library_(library) {}

  Json answer(const Json& line) {
    const std::string command = line.at("cmd");
    if (command == "prepare") return prepare(line);
    if (command == "results") return results(line.at("folder"));
    if (command == "time") return time(line.at("seconds"));
    if (command == "drop") return drop();
    return {{"error", "there is no command " + command}};
  }

 private:
  static constexpr double kShortest = 20e-6;

  Json drop() {
    multiply_ = nullptr;
    inputs_.clear();
    into_.reset();
    return Json::object();
  }

  Json prepare(const Json& line) {
    drop();
    const std::string workload = line.at("workload");
    const bool fused = workload == "product_bias_gelu" && library_.fuses();
    const bool part = workload.starts_with("product_bias_gelu") && !fused;
    if (workload != "matmul" && workload != "batch_matmul" && !part && !fused) return {{"unsupported", "multiplies only"}};
    for (const auto& path : line.at("inputs")) inputs_.push_back(load(path));
    const Array &a = inputs_.at(0), &b = inputs_.at(1);
    const size_t rank = a.shape.size();
    Product product{rank == 3 ? a.shape[0] : 1, a.shape[rank - 2], a.shape[rank - 1], b.shape[rank - 1], a.is_double, a.data.get(), b.data.get()};
    if (fused) product.bias = inputs_.at(2).data.get();
    shape_ = a.shape;
    shape_.back() = b.shape.back();
    bytes_ = product.batch * product.m * product.n * (a.is_double ? 8 : 4);
    if (line.value("outputs", "fresh") == "reused") into_ = allocate(bytes_);
    const Clock::time_point start = Clock::now();
    try {
      multiply_ = library_.prepare(product);
    } catch (const std::invalid_argument& why) {
      return {{"unsupported", why.what()}};
    }
    call();
    Json answer{{"first_ms", seconds_since(start) * 1e3}, {"split", nullptr}};
    if (part) answer["part"] = "product alone";
    return answer;
  }

  /// One product, into memory that is allocated now unless results are used again.
  std::unique_ptr<char, Free> call() {
    if (into_) {
      multiply_(into_.get());
      return nullptr;
    }
    std::unique_ptr<char, Free> fresh = allocate(bytes_);
    multiply_(fresh.get());
    return fresh;
  }

  Json results(const std::string& folder) {
    const auto fresh = call();
    const std::string path = folder + "/0.npy";
    save(path, shape_, inputs_[0].is_double, into_ ? into_.get() : fresh.get());
    return {{"results", {path}}};
  }

  Json time(double seconds) {
    const Clock::time_point begin = Clock::now();
    call();
    const double one = seconds_since(begin);
    if (one >= seconds) return {{"us", {one * 1e6}}, {"calls", 1}};
    const int64_t batch = one > kShortest ? 1 : static_cast<int64_t>(kShortest / std::max(one, 1e-8)) + 1;
    std::vector<double> times;
    for (const Clock::time_point start = Clock::now(); seconds_since(start) < seconds;) {
      const Clock::time_point of_batch = Clock::now();
      for (int64_t i = 0; i < batch; ++i) call();
      times.push_back(seconds_since(of_batch) / static_cast<double>(batch) * 1e6);
    }
    return {{"us", times}, {"calls", batch * static_cast<int64_t>(times.size())}};
  }

  Library& library_;
  std::vector<Array> inputs_;
  std::vector<int64_t> shape_;
  size_t bytes_ = 0;
  std::unique_ptr<char, Free> into_;
  Multiply multiply_;
};

/// A product of one number with one.
double empty_call_us(Library& library) {
  alignas(64) float a[16] = {1}, b[16] = {2}, c[16];
  const Multiply multiply = library.prepare({1, 1, 1, 1, false, reinterpret_cast<char*>(a), reinterpret_cast<char*>(b)});
  std::vector<double> rounds;
  for (int round = 0; round < 21; ++round) {
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < 1000; ++i) multiply(reinterpret_cast<char*>(c));
    rounds.push_back(seconds_since(start) * 1e3);
  }
  std::ranges::sort(rounds);
  return rounds[10];
}

int serve(const std::string& name, int threads) {
  const std::unique_ptr<Library> library = open(name, threads);
  std::cout << Json{{"ready", {{"system", name}, {"version", library->version()}, {"settings", library->settings()},
                               {"empty_call_us", empty_call_us(*library)}}}}
            << std::endl;
  Worker worker(*library);
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      const Json asked = Json::parse(line);
      if (asked.value("cmd", "") == "quit") break;
      answer = worker.answer(asked);
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer << std::endl;
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: bench_native openblas|blis|onednn|libxsmm|eigen THREADS\n";
    return 2;
  }
  try {
    return serve(arguments[1], std::atoi(arguments[2]));
  } catch (const std::exception& error) {
    std::cerr << "bench_native: " << error.what() << '\n';
    return 1;
  }
}
