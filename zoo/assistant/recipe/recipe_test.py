"""Checks of the recipe that need no GPU: python3 -m unittest recipe_test"""

import random
import tempfile
import unittest

import conversations
import corpus
import exam
import gguf
import skill_facts
import skill_small_talk
import tokenizer as bpe
from turns import is_right, normalise


class ExamTest(unittest.TestCase):
    def test_is_the_same_every_time(self):
        self.assertEqual(exam.questions(), exam.questions())
        self.assertEqual(len(exam.questions()), 200)

    def test_training_never_sees_it(self):
        rng, guard = random.Random(1), exam.Guard()
        for _ in range(5000):
            guard.check(conversations.make(rng)[1])

    def test_kept_phrasings_differ_from_trained_ones(self):
        for said, kept, _, _ in skill_small_talk._INTENTS:
            trained = set(map(normalise, said.split("/")))
            self.assertFalse(trained.intersection(map(normalise, kept.split("/"))))
        for relation in skill_facts.RELATIONS:
            self.assertFalse(set(relation.asks).intersection(relation.exam))

    def test_answers_of_the_recipe_are_right(self):
        rng = random.Random(2)
        for _ in range(5000):
            for turn in conversations.make(rng)[1]:
                self.assertTrue(not turn.accept or is_right(turn.answer, turn.accept), turn)

    def test_a_fact_has_one_answer(self):
        for relation in skill_facts.RELATIONS:
            answers = {}
            for fact in relation.facts:
                key = tuple((name, text) for name, text in fact.items() if name != "v")
                self.assertEqual(answers.setdefault(key, fact["v"]), fact["v"], key)


class TokenizerTest(unittest.TestCase):
    def setUp(self):
        merges = bpe.learn_merges(corpus.sample_pieces("test", 2000), 600)
        self.tokenizer = bpe.Tokenizer(merges)

    def test_every_text_comes_back(self):
        for text in ["Hello there!", "12 + 345", "a\n\n b\t c ", "na\u00efve \U0001f600 \u4f60"]:
            self.assertEqual(self.tokenizer.decode(self.tokenizer.encode(text)), text)

    def test_digits_stand_alone(self):
        self.assertEqual(len(self.tokenizer.encode("2026")), 4)

    def test_rows_learn_only_answers(self):
        row = next(corpus.rows(self.tokenizer, "test", corpus.SHORT_ROW))
        self.assertEqual(len(row), corpus.SHORT_ROW)
        learnt = [t & corpus.TOKEN_MASK for t in row if t & corpus.LEARN]
        self.assertEqual(learnt[-1], self.tokenizer.turn_end)
        self.assertNotIn(self.tokenizer.turn_start, learnt)


class GgufTest(unittest.TestCase):
    def test_what_is_written_is_read(self):
        pairs = {"a": 1, "b": "x", "c": ["\u00e9", "y"], "d": [1, 2], "e": False, "f": 0.5}
        tensors = [("t", (3, 32), gguf.F32, b"\1" * 384), ("u", (2, 64), gguf.Q8_0, b"\2" * 136)]
        with tempfile.NamedTemporaryFile() as file:
            size = gguf.write(file.name, pairs, tensors)
            self.assertEqual(size % gguf.ALIGNMENT, 0)
            self.assertEqual(gguf.read(file.name), (pairs, tensors))


if __name__ == "__main__":
    unittest.main()
