// Greedy and beam decoding: loops that end when the data says so, in plain C++, each one compiled function. What NumPy finds
// with the same weights stands in .npy files.
#include <etch/etch.h>

#include <cstdio>
#include <exception>
#include <limits>
#include <string>
#include <tuple>

namespace {

using etch::DType, etch::Tensor, etch::TensorArray;

constexpr int64_t kMost = 20;   // words of a sentence
constexpr int64_t kEnd = 0;     // the word that ends one
constexpr int64_t kBeams = 3;

/// A recurrent language model.
struct Model {
  Tensor embedding;  // [words, units]
  Tensor recurrent;  // [units, units]
  Tensor head;       // [units, words]

  int64_t num_words() const { return embedding.shape()[0]; }
  int64_t units() const { return embedding.shape()[1]; }

  /// The logarithms of what may follow each of [n] words, [n, words], and the states then.
  std::pair<Tensor, Tensor> step(const Tensor& words, const Tensor& states) const {
    const Tensor next = tanh(gather(embedding, words) + matmul(states, recurrent));
    return {log_softmax(matmul(next, head)), next};
  }
};

/// The likeliest word again and again: the words, its score, and how many.
std::tuple<Tensor, Tensor, Tensor> greedy(const Model& model, const Tensor& start) {
  TensorArray words = TensorArray::of(kMost, DType::i64, {});
  Tensor word = start, state = etch::zeros({1, model.units()}), score = 0.f;
  Tensor n = 0;
  while (n < kMost) {
    const auto [likely, next] = model.step(reshape(word, {1}), state);
    word = argmax(likely[0], 0);
    score = score + max(likely);
    state = next;
    words.write(n, word);
    ++n;
    if (word == kEnd) break;
  }
  return {words.stack(), score, n};
}

/// The best of kBeams sentences that grow side by side, until all of them have ended.
std::tuple<Tensor, Tensor, Tensor> beam(const Model& model, const Tensor& start) {
  const float never = -std::numeric_limits<float>::infinity();
  const int64_t num_words = model.num_words();
  const Tensor only_end = where(etch::range(num_words) == kEnd, Tensor(0.f), never);  // what follows the end, at no cost
  Tensor words = etch::zeros({kMost, kBeams}, DType::i64);
  Tensor last = broadcast_to(start, {kBeams}), states = etch::zeros({kBeams, model.units()});
  Tensor scores = etch::concat({etch::zeros(1), etch::full({kBeams - 1}, never)}, 0);  // one sentence at first
  Tensor has_ended = etch::zeros({kBeams}, DType::boolean);
  Tensor n = 0;
  while (n < kMost && !all(has_ended)) {
    const auto [likely, next] = model.step(last, states);
    const Tensor longer = expand_dims(scores, 1) + where(expand_dims(has_ended, 1), only_end, likely);
    const auto [best, where_best] = top_k(reshape(longer, {kBeams * num_words}), kBeams);
    const Tensor from = floor_div(where_best, num_words);
    last = where_best % num_words;
    scores = best;
    states = gather(next, from);
    has_ended = last == kEnd;
    TensorArray grown{gather(words, from, 1)};
    grown.write(n, last);
    words = grown.stack();
    ++n;
  }
  return {words(etch::Slice(), 0), scores[0], n};
}

bool run(const std::string& folder) {
  const auto load = [&](const std::string& name) { return etch::load_npy(folder + "/" + name + ".npy"); };
  const Model model{load("embedding"), load("recurrent"), load("head")};
  bool is_right = true;
  const auto compare = [&](const std::string& name, auto decode) {
    const Tensor expected = load("expected_" + name), scores = load("expected_" + name + "_scores");
    auto compiled = etch::function(decode);
    for (int64_t i = 0; i < expected.shape()[0]; ++i) {
      const auto [words, score, n] = compiled(model, Tensor(i + 1));
      is_right &= all(words == expected[i]).template item<bool>();
      is_right &= abs(score - scores[i]).template item<float>() < 1e-4f;
      std::printf("%s from %2d:", name.c_str(), static_cast<int>(i + 1));
      for (int64_t k = 0; k < n.template item<int>(); ++k) std::printf(" %d", static_cast<int>(words.template data<int64_t>()[k]));
      std::printf("  (%.2f)\n", score.template item<float>());
    }
  };
  compare("greedy", greedy);
  compare("beam", beam);
  std::printf("%s\n", is_right ? "as NumPy" : "NOT as NumPy");
  return is_right;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: decoding FOLDER\n");
    return 2;
  }
  try {
    return run(argv[1]) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
