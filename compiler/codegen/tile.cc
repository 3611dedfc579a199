// Tiles: pieces of neighbouring rows in memory, as vectors of lanes across the rows.
#include "compiler/codegen/tile.h"

#include <algorithm>
#include <bit>

namespace etch::codegen {
namespace {

/// Shuffles are cheapest within so many bytes, and cross them only as wholes.
constexpr int kUnitBytes = 16;

int bytes_of(llvm::Type* element) { return static_cast<int>(element->getScalarSizeInBits()) / 8; }

/// Replaces two rows by what their lower halves and what their upper halves are, taken in turn within each unit.
void interleave(Builder& b, int unit, llvm::Value*& first, llvm::Value*& second) {
  const int width = lanes_of(first);
  llvm::SmallVector<int, 64> low, high;
  for (int start = 0; start < width; start += unit) {
    for (int i = 0; i < unit; ++i) {
      const int from = start + i / 2 + (i % 2) * width;
      low.push_back(from);
      high.push_back(from + unit / 2);
    }
  }
  llvm::Value* lower = b.CreateShuffleVector(first, second, low);
  second = b.CreateShuffleVector(first, second, high);
  first = lower;
}

/// Exchanges the lanes of two rows, so that the first has those whose number has no `bit`, the second the others.
void exchange(Builder& b, int bit, llvm::Value*& first, llvm::Value*& second) {
  const int width = lanes_of(first);
  llvm::SmallVector<int, 64> low, high;
  for (int i = 0; i < width; ++i) {
    low.push_back(i & bit ? width + (i ^ bit) : i);
    high.push_back(i & bit ? width + i : i | bit);
  }
  llvm::Value* lower = b.CreateShuffleVector(first, second, low);
  second = b.CreateShuffleVector(first, second, high);
  first = lower;
}

/// As many rows as a row has elements. Each step exchanges one bit of a row's number with one of the elements': within
/// units of a vector by interleaving, whole units as they are.
Values transpose_square(Builder& b, llvm::ArrayRef<llvm::Value*> given) {
  Values rows(given.begin(), given.end());
  const int size = static_cast<int>(rows.size());
  const int unit = std::min(size, std::max(1, kUnitBytes / bytes_of(rows[0]->getType()->getScalarType())));
  const auto pairs = [&](int bit, llvm::function_ref<void(llvm::Value*&, llvm::Value*&)> change) {
    for (int i = 0; i < size; ++i) {
      if (!(i & bit)) change(rows[i], rows[i | bit]);
    }
  };
  for (int bit = unit / 2; bit > 0; bit /= 2) {
    pairs(bit, [&](llvm::Value*& first, llvm::Value*& second) { interleave(b, unit, first, second); });
  }
  for (int bit = unit; bit < size; bit *= 2) {
    pairs(bit, [&](llvm::Value*& first, llvm::Value*& second) { exchange(b, bit, first, second); });
  }
  return rows;
}

/// The first elements of pieces of `chunk` elements that cover the wanted ones; the last piece ends with the last one.
llvm::SmallVector<int, 8> pieces(llvm::ArrayRef<int> wanted, int chunk) {
  llvm::SmallVector<int, 8> starts;
  const int last = wanted.back() + 1 - chunk;
  for (int e : wanted) {
    if (starts.empty() || e >= starts.back() + chunk) starts.push_back(std::min(e, last));
  }
  return starts;
}

/// Shuffles that take the lower halves of all rows of two vectors, and their upper ones. Rows that fit into a unit stay
/// there, those of the first vector before those of the second.
struct HalfRows {
  llvm::SmallVector<int, 64> low, high;
  llvm::SmallVector<int, 64> rows;  // as they stand in the result: numbers of those of both vectors
};

HalfRows half_rows(int width, int length, int unit) {
  HalfRows result;
  const int span = std::max(length, unit);  // lanes of one vector before those of the other one
  const int step = length > unit ? width : span;
  for (int start = 0; start < width; start += step) {
    for (int from : {start, width + start}) {
      for (int row = from; row < from + step; row += length) {
        result.rows.push_back(row / length);
        for (int e = 0; e < length / 2; ++e) {
          result.low.push_back(row + e);
          result.high.push_back(row + length / 2 + e);
        }
      }
    }
  }
  return result;
}

}  // namespace

int lanes_of(llvm::Value* value) {
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(value->getType());
  return vector ? static_cast<int>(vector->getNumElements()) : 1;
}

llvm::Value* concat_lanes(Builder& b, llvm::Value* low, llvm::Value* high) {
  llvm::SmallVector<int, 64> mask;
  for (int i = 0; i < 2 * lanes_of(low); ++i) mask.push_back(i);
  return b.CreateShuffleVector(low, high, mask);
}

llvm::Value* half_of(Builder& b, llvm::Value* lanes, bool upper) {
  llvm::SmallVector<int, 64> mask;
  const int half = lanes_of(lanes) / 2;
  for (int i = 0; i < half; ++i) mask.push_back(i + (upper ? half : 0));
  return b.CreateShuffleVector(lanes, mask);
}

Values transpose(Builder& b, llvm::ArrayRef<llvm::Value*> rows) {
  const int width = lanes_of(rows[0]), count = static_cast<int>(rows.size());
  if (count == width) return transpose_square(b, rows);
  if (count > width) {
    Values result = transpose(b, rows.take_front(count / 2));
    const Values upper = transpose(b, rows.drop_front(count / 2));
    for (int e = 0; e < width; ++e) result[e] = concat_lanes(b, result[e], upper[e]);
    return result;
  }
  Values result;
  for (bool upper : {false, true}) {
    Values halves;
    for (llvm::Value* row : rows) halves.push_back(half_of(b, row, upper));
    result.append(transpose(b, halves));
  }
  return result;
}

Values load_tile(Builder& b, llvm::Type* type, llvm::Value* from, llvm::Value* step, int width,
                 llvm::ArrayRef<int> wanted) {
  const llvm::Align align(bytes_of(type));
  const int chunk = std::min(width, static_cast<int>(std::bit_floor(static_cast<unsigned>(wanted.back() + 1))));
  Values rows{from}, result(wanted.back() + 1);
  for (int l = 1; l < width; ++l) rows.push_back(b.CreateGEP(type, rows.back(), step));
  for (int start : pieces(wanted, chunk)) {
    Values parts;
    for (llvm::Value* row : rows) {
      llvm::Value* address = b.CreateConstInBoundsGEP1_64(type, row, start);
      parts.push_back(b.CreateAlignedLoad(llvm::FixedVectorType::get(type, chunk), address, align));
    }
    const Values lanes = transpose(b, parts);
    for (int e = 0; e < chunk; ++e) {
      const bool is_wanted = std::binary_search(wanted.begin(), wanted.end(), start + e);
      if (is_wanted && !result[start + e]) result[start + e] = lanes[e];
    }
  }
  return result;
}

llvm::Value* fold_within(Builder& b, llvm::Value* rows, int length, int left, Join join) {
  for (; length > left; length /= 2) {
    llvm::SmallVector<int, 64> low, high;
    for (int row = 0; row < lanes_of(rows); row += length) {
      for (int e = 0; e < length / 2; ++e) {
        low.push_back(row + e);
        high.push_back(row + length / 2 + e);
      }
    }
    rows = join(b.CreateShuffleVector(rows, low), b.CreateShuffleVector(rows, high));
  }
  return rows;
}

llvm::Value* fold_rows(Builder& b, Values vectors, int length, Join join) {
  const int count = lanes_of(vectors[0]);  // of rows
  const int unit = std::min(count, std::max(1, kUnitBytes / bytes_of(vectors[0]->getType()->getScalarType())));
  std::vector<llvm::SmallVector<int, 64>> rows(vectors.size());  // of each vector, as they stand in it
  for (int row = 0; row < count; ++row) rows[row * length / count].push_back(row);
  for (; length > 1; length /= 2) {
    const HalfRows half = half_rows(count, length, unit);
    for (size_t v = 0; v < vectors.size() / 2; ++v) {
      llvm::Value *first = vectors[2 * v], *second = vectors[2 * v + 1];
      vectors[v] = join(b.CreateShuffleVector(first, second, half.low), b.CreateShuffleVector(first, second, half.high));
      llvm::SmallVector<int, 64> both = rows[2 * v], joined;
      both.append(rows[2 * v + 1]);
      for (int row : half.rows) joined.push_back(both[row]);
      rows[v] = std::move(joined);
    }
    vectors.resize(vectors.size() / 2);
  }
  llvm::SmallVector<int, 64> lane_of(count);
  for (int lane = 0; lane < count; ++lane) lane_of[rows[0][lane]] = lane;
  return b.CreateShuffleVector(vectors[0], lane_of);
}

llvm::Value* fold_vectors(Builder& b, Values rows, Join join) {
  const int width = lanes_of(rows[0]), count = static_cast<int>(rows.size());
  int length = width;  // of what is left of a row
  for (; rows.size() > 1; length /= 2) {
    llvm::SmallVector<int, 64> low, high;
    for (int row = 0; row < 2 * width; row += length) {
      for (int e = 0; e < length / 2; ++e) {
        low.push_back(row + e);
        high.push_back(row + length / 2 + e);
      }
    }
    for (size_t v = 0; v < rows.size() / 2; ++v) {
      llvm::Value *first = rows[2 * v], *second = rows[2 * v + 1];
      rows[v] = join(b.CreateShuffleVector(first, second, low), b.CreateShuffleVector(first, second, high));
    }
    rows.resize(rows.size() / 2);
  }
  // In place: shuffles that keep lanes near by are cheap.
  for (int half = length / 2; half > 0; half /= 2) {
    llvm::SmallVector<int, 64> high;
    for (int lane = 0; lane < width; ++lane) high.push_back(lane % length < half ? lane + half : -1);
    rows[0] = join(rows[0], b.CreateShuffleVector(rows[0], high));
  }
  llvm::SmallVector<int, 64> first_of_row;
  for (int row = 0; row < count; ++row) first_of_row.push_back(row * length);
  return b.CreateShuffleVector(rows[0], first_of_row);
}

void store_tile(Builder& b, llvm::ArrayRef<llvm::Value*> values, llvm::Value* to, llvm::Value* step) {
  llvm::Type* type = values[0]->getType()->getScalarType();
  const llvm::Align align(bytes_of(type));
  const int width = lanes_of(values[0]), count = static_cast<int>(values.size());
  const int chunk = std::min(width, static_cast<int>(std::bit_floor(static_cast<unsigned>(count))));
  Values rows{to};
  for (int l = 1; l < width; ++l) rows.push_back(b.CreateGEP(type, rows.back(), step));
  for (int done = 0; done < count; done += chunk) {
    const int start = std::min(done, count - chunk);
    const Values parts = transpose(b, values.slice(start, chunk));
    for (int l = 0; l < width; ++l) {
      b.CreateAlignedStore(parts[l], b.CreateConstInBoundsGEP1_64(type, rows[l], start), align);
    }
  }
}

}  // namespace etch::codegen
