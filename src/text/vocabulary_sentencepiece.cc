#include "text/vocabulary_sentencepiece.h"

#include "text/end_of_generation.h"
#include "text/protobuf_reader.h"
#include "text/text_normalizer.h"

namespace neuros::text {
namespace {

// Field numbers of sentencepiece_model.proto.
enum ModelField : uint32_t { kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3 };
enum PieceField : uint32_t { kPieceText = 1, kPieceScore = 2, kPieceType = 3 };
enum TrainerField : uint32_t {
  kModelType = 3,
  kTreatWhitespaceAsSuffix = 24,
  kUnkId = 40,
  kBosId = 41,
  kEosId = 42,
  kPadId = 43,
};
enum NormalizerField : uint32_t {
  kPrecompiledCharsmap = 2,
  kAddDummyPrefix = 3,
  kRemoveExtraWhitespaces = 4,
  kEscapeWhitespaces = 5,
};
enum ModelType : uint64_t { kModelUnigram = 1, kModelBpe = 2 };

base::Result<> broken(const char* what) {
  return base::fail(std::string("sentencepiece model: ") + what + " is cut off or not protobuf");
}

base::Result<> read_piece(std::string_view bytes, Vocabulary& v) {
  Piece piece;
  ProtobufReader reader(bytes);
  while (const auto field = reader.next()) {
    if (field->number == kPieceText) piece.text = field->bytes;
    if (field->number == kPieceScore) piece.score = field->float32();
    if (field->number != kPieceType) continue;
    if (field->value < static_cast<uint64_t>(PieceKind::kNormal) ||
        field->value > static_cast<uint64_t>(PieceKind::kByte))
      return base::fail("sentencepiece model: piece " + std::to_string(v.pieces.size()) +
                        " has the unknown type " + std::to_string(field->value));
    piece.kind = static_cast<PieceKind>(field->value);
  }
  if (reader.broken()) return broken("a piece");
  // Looked for in texts whose spaces are still spaces.
  if (piece.kind == PieceKind::kUserDefined) piece.text = replace_space_marks(piece.text);
  v.pieces.push_back(std::move(piece));
  return {};
}

base::Result<> read_trainer(std::string_view bytes, Vocabulary& v) {
  uint64_t model_type = kModelUnigram;
  const auto set = [](const ProtobufReader::Field& field, std::optional<TokenId>& id) {
    id = field.int32() < 0 ? std::nullopt : std::optional<TokenId>(field.int32());
  };
  ProtobufReader reader(bytes);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case kModelType:
        model_type = field->value;
        break;
      case kUnkId:
        set(*field, v.unk);
        break;
      case kBosId:
        set(*field, v.bos);
        break;
      case kEosId:
        set(*field, v.eos);
        break;
      case kPadId:
        set(*field, v.pad);
        break;
      case kTreatWhitespaceAsSuffix:
        if (field->flag())
          return base::fail("sentencepiece model: treat_whitespace_as_suffix is not supported",
                            base::ErrorKind::kUnsupported);
        break;
      default:
        break;
    }
  }
  if (reader.broken()) return broken("trainer_spec");
  if (model_type != kModelUnigram && model_type != kModelBpe)
    return base::fail("sentencepiece model: model_type " + std::to_string(model_type) +
                          " is neither unigram (1) nor BPE (2)",
                      base::ErrorKind::kUnsupported);
  const bool bpe = model_type == kModelBpe;
  v.kind = bpe ? VocabularyKind::kSentencePieceBpe : VocabularyKind::kUnigram;
  return {};
}

base::Result<> read_normalizer(std::string_view bytes, Vocabulary& v) {
  ProtobufReader reader(bytes);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case kPrecompiledCharsmap:
        v.charsmap = field->bytes;
        break;
      case kAddDummyPrefix:
        v.add_space_prefix = field->flag();
        break;
      case kRemoveExtraWhitespaces:
        v.remove_extra_whitespaces = field->flag();
        break;
      case kEscapeWhitespaces:
        if (!field->flag())
          return base::fail("sentencepiece model: escape_whitespaces = false is not supported",
                            base::ErrorKind::kUnsupported);
        break;
      default:
        break;
    }
  }
  return reader.broken() ? broken("normalizer_spec") : base::Result<>();
}

void drop_ids_outside(Vocabulary& v) {
  for (auto* id : {&v.unk, &v.bos, &v.eos, &v.pad})
    if (*id && static_cast<size_t>(**id) >= v.pieces.size()) id->reset();
}

}  // namespace

base::Result<Vocabulary> vocabulary_from_sentencepiece(std::string_view bytes) {
  Vocabulary v;
  v.kind = VocabularyKind::kUnigram;
  v.unk = 0, v.bos = 1, v.eos = 2;  // the defaults of trainer_spec
  v.add_space_prefix = v.remove_extra_whitespaces = true;
  ProtobufReader reader(bytes);
  while (const auto field = reader.next()) {
    if (field->number == kPieces) TRY(read_piece(field->bytes, v));
    if (field->number == kTrainerSpec) TRY(read_trainer(field->bytes, v));
    if (field->number == kNormalizerSpec) TRY(read_normalizer(field->bytes, v));
  }
  if (reader.broken()) TRY(broken("the file"));
  if (v.pieces.empty()) return base::fail("sentencepiece model: no pieces");
  drop_ids_outside(v);
  v.add_bos = v.kind == VocabularyKind::kSentencePieceBpe && v.bos;
  v.add_eos = v.kind == VocabularyKind::kUnigram && v.eos;
  find_end_of_generation(v);
  return v;
}

}  // namespace neuros::text
