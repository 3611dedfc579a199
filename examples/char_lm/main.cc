// A small transformer learns to write like Jane Austen, a character at a time:
//   char_lm FOLDER [STEPS [LOSS]]
// trains on FOLDER/text.txt, says what a character of the end of the text costs, which it has not seen, and writes a few lines.
// Fails if that cost is not below LOSS.
#include <etch/etch.h>
#include <etch/layers.h>
#include <etch/losses.h>
#include <etch/optimizers.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using etch::Slice, etch::Tensor;
namespace layers = etch::layers;

namespace {

constexpr int64_t kContext = 64;  // characters that a prediction may look back at
constexpr int64_t kWidth = 64;
constexpr int64_t kBatch = 16;

/// The characters of a text and their numbers.
struct Alphabet {
  explicit Alphabet(const std::string& text) {
    for (unsigned char c : text) {
      if (number[c] >= 0) continue;
      number[c] = static_cast<int32_t>(characters.size());
      characters += static_cast<char>(c);
    }
  }

  std::vector<int32_t> numbers_of(const std::string& text) const {
    std::vector<int32_t> numbers;
    for (unsigned char c : text) numbers.push_back(number[c]);
    return numbers;
  }

  std::string characters;
  std::vector<int32_t> number = std::vector<int32_t>(256, -1);
};

struct Block {
  layers::LayerNormalization before_attention;
  layers::MultiHeadAttention attention{.num_heads = 4, .key_dim = kWidth / 4};
  layers::LayerNormalization before_dense;
  layers::Dense up{4 * kWidth, etch::activations::gelu};
  layers::Dense down{kWidth};

  Tensor operator()(Tensor x) const {
    const Tensor seen = before_attention(x);
    x = x + attention(seen, seen, {.use_causal_mask = true});
    return x + down(up(before_dense(x)));
  }
};

/// i32[batch, length] characters -> f32[batch, length, alphabet] logits of the ones that follow.
struct CharLm {
  int64_t alphabet = 0;
  layers::Embedding characters{alphabet, kWidth};
  layers::Embedding positions{kContext, kWidth};
  std::vector<Block> blocks = std::vector<Block>(2);
  layers::LayerNormalization norm{};
  layers::Dense logits{alphabet};

  Tensor operator()(Tensor text) const {
    Tensor x = characters(text) + positions(etch::range(text.shape()[1]));
    for (const Block& block : blocks) x = block(x);
    return logits(norm(x));
  }
};

/// What a character costs, in nats, of stretches of the text that begin at these places.
Tensor loss_of(const CharLm& model, const Tensor& text, const Tensor& starts) {
  const Tensor stretch = gather(text, expand_dims(starts, 1) + etch::range(kContext + 1));
  const Tensor seen = stretch[{Slice(), Slice(0, kContext)}], next = stretch[{Slice(), Slice(1, kContext + 1)}];
  return etch::losses::sparse_categorical_crossentropy(next, model(seen), {.from_logits = true});
}

/// Goes on from a prompt, which may not be longer than the context.
std::string written(const CharLm& model, const Alphabet& alphabet, std::string text, int count) {
  const etch::Generator generator(5);
  auto next = etch::function([&](Tensor seen, Tensor last) {
    const Tensor logits = gather(squeeze(model(expand_dims(seen, 0)), 0), last);
    return generator.categorical(logits / 0.8, 1);
  });
  std::vector<int32_t> seen = alphabet.numbers_of(text);
  for (int i = 0; i < count; ++i) {
    if (static_cast<int64_t>(seen.size()) > kContext) seen.erase(seen.begin());
    std::vector<int32_t> padded = seen;  // what stands behind the last character is not seen
    padded.resize(kContext);
    const Tensor last(static_cast<int32_t>(seen.size()) - 1);
    const auto number = next(Tensor::from(padded, kContext), last).item<int64_t>();
    seen.push_back(static_cast<int32_t>(number));
    text += alphabet.characters[static_cast<size_t>(number)];
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) throw std::runtime_error("char_lm FOLDER [STEPS [LOSS]]");
  std::ifstream file(std::string(argv[1]) + "/text.txt");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.empty()) throw std::runtime_error(std::string("there is no ") + argv[1] + "/text.txt");
  const int steps = argc > 2 ? std::atoi(argv[2]) : 2000;
  const double most = argc > 3 ? std::atof(argv[3]) : 1.65;

  etch::random::set_seed(1);
  const Alphabet alphabet(text);
  const Tensor all = Tensor::from(alphabet.numbers_of(text), static_cast<int64_t>(text.size()));
  const int64_t known = all.shape()[0] * 9 / 10;
  const Tensor training = all.slice({Slice(0, known)}), unseen = all.slice({Slice::from(known)});

  const CharLm model{static_cast<int64_t>(alphabet.characters.size())};
  const etch::optimizers::Adam adam(3e-3, {.clipping = {.global_norm = 1.0}});
  const etch::Generator places(2);
  auto step = etch::function([&] {
    etch::GradientTape tape;
    const Tensor loss = loss_of(model, training, places.uniform_int({kBatch}, 0, known - kContext));
    const auto variables = etch::trainable_variables(model);
    adam.apply_gradients(tape.gradient(loss, variables), variables);
    return loss;
  });
  const int64_t stretches = (unseen.shape()[0] - 1) / kContext;
  auto cost = etch::function([&] { return loss_of(model, unseen, etch::range(stretches) * kContext); });

  const auto start = std::chrono::steady_clock::now();
  for (int i = 1; i <= steps; ++i) {
    const Tensor loss = step();
    if (i % 100 == 0 || i == steps) std::printf("step %4d: loss %.3f\n", i, loss.item<float>());
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const float loss = cost().item<float>();
  std::printf("%.1f s; %.3f nats for a character that it has not seen before\n\n", seconds.count(), loss);
  std::printf("%s\n", written(model, alphabet, "\"My dear Mr. Bennet,\" ", 400).c_str());
  return loss < most ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "char_lm: %s\n", error.what());
  return 2;
}
