"""The form that asks for a sentence again, and the search for the sentence."""

from ui.client.order import Manner
from ui.client.redo import SentenceRedo, StoredSentence, matching

SENTENCES = tuple(
    StoredSentence.of({"index": index, "text": text, "begins": float(index), "seconds": 1.0})
    for index, text in enumerate(("Il  lut\nle livre.", "Elle LUT aussi.", "Fin."))
)


def test_a_sentence_that_is_not_changed_is_sent_without_words() -> None:
    assert SentenceRedo("a-job-of-mine", 3).fields() == {}


def test_words_seed_and_pronunciations_are_sent() -> None:
    redo = SentenceRedo("a-job-of-mine", 3, "Bonjour.", Manner(seed=7, pronunciations={"a": "b"}))
    assert redo.fields() == {"text": "Bonjour.", "seed": "7", "pronunciations": '{"a": "b"}'}


def test_sentences_are_found_by_their_words() -> None:
    assert [each.index for each in matching(SENTENCES, " lut ", 10)] == [0, 1]
    assert [each.index for each in matching(SENTENCES, "lut le", 10)] == [0]
    assert [each.index for each in matching(SENTENCES, "", 2)] == [0, 1]
    assert matching(SENTENCES, "rien", 10) == ()
