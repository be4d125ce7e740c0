"""The splitter's estimate of the audio of a text, and the refusal of a text over the quota."""

import msgspec
import pytest
from msgspec import UNSET

from services.common.wire.estimate import audio_seconds
from services.common.wire.failures import MalformedMessage, QuotaUsedUp, UnsupportedParameter
from services.common.wire.options import Parameters
from services.common.wire.parts import Speaker
from services.splitter.conversion import (
    job_of,
    names_of,
    require_supported,
    require_within_quota,
    seconds_of,
    speakers_of,
    task_of,
)
from services.splitter.segmentation.sentences import Sentence, SplitText
from tests.support.service import speech_request

CLIP = "ab" * 32
ONE = Sentence(0, 14, "a" * 14, 0)


def test_pauses_languages_and_speeds_count_and_what_was_spoken_does_not() -> None:
    request = speech_request(CLIP)
    assert seconds_of(request, [ONE]) == [1.0]
    assert seconds_of(request, [Sentence(0, 14, "a" * 14, 9_500, pause_before_ms=500)]) == [11.0]
    assert seconds_of(request, [Sentence(0, 9, "雪" * 9, 0, language="zh")]) == [
        audio_seconds(9, "zh")
    ]
    slow = msgspec.structs.replace(request, parameters=Parameters(speed=0.5))
    # no slower than 0.25
    assert seconds_of(slow, [ONE, Sentence(0, 14, "a" * 14, 0, rate=0.25)]) == [2.0, 4.0]
    resumed = msgspec.structs.replace(request, first_sentence=1)
    assert seconds_of(resumed, [ONE, ONE]) == [0.0, 1.0]


def test_a_request_over_its_quota_is_refused_for_good_with_the_remaining_quota() -> None:
    limited = msgspec.structs.replace(speech_request(CLIP), max_audio_s=60.0)
    require_within_quota(limited, [30.0, 30.0])
    with pytest.raises(QuotaUsedUp, match="about 61 s of audio, and 60 s are left") as refused:
        require_within_quota(limited, [30.0, 31.0])
    assert not refused.value.retryable
    require_within_quota(speech_request(CLIP), [1e6])


def test_a_sentence_has_the_clips_or_the_voice_of_its_request() -> None:
    assert job_of(speech_request(CLIP), (ONE,), 0).clips == (CLIP,)
    assert job_of(speech_request(CLIP), (ONE,), 0).voice is UNSET
    named = msgspec.structs.replace(speech_request(CLIP), clips=(), voice="builtin:Heart")
    assert job_of(named, (ONE,), 0).clips == ()
    assert job_of(named, (ONE,), 0).voice == "builtin:Heart"


SPOKEN_BY = tuple(Sentence(0, 14, "a" * 14, 0, voice=voice) for voice in ("", "Paul", "Anna"))
DIALOGUE = msgspec.structs.replace(
    speech_request(CLIP),
    text_type="dialogue",
    parameters=Parameters(speed=2.0),
    voices=(
        Speaker(name="Anna", voice="builtin:Heart", parameters=Parameters(speed=1.0)),
        Speaker(name="Paul", voice="v_0pqv3fjo00abcdefghij@2", parameters=Parameters(speed=0.5)),
    ),
)


def test_each_sentence_has_the_voice_and_the_parameters_of_its_speaker() -> None:
    jobs = [job_of(DIALOGUE, SPOKEN_BY, index) for index in range(3)]
    assert [(job.clips, job.voice, job.parameters.speed) for job in jobs] == [
        ((CLIP,), UNSET, 2.0),
        ((), "v_0pqv3fjo00abcdefghij@2", 0.5),
        ((), "builtin:Heart", 1.0),
    ]
    assert seconds_of(DIALOGUE, SPOKEN_BY) == [0.5, 2.0, 1.0]
    division = SplitText(SPOKEN_BY, ())
    assert speakers_of(DIALOGUE, division) == (0, 2, 1)
    assert speakers_of(speech_request(CLIP), SplitText((ONE,), ())) is UNSET
    assert names_of(division) == ("", "Paul", "Anna")


def test_a_parameter_of_one_speaker_that_the_engine_does_not_support_is_refused() -> None:
    require_supported(DIALOGUE, SplitText(SPOKEN_BY, ()), {"speed": 1.0})
    with pytest.raises(UnsupportedParameter, match="speed"):
        require_supported(
            msgspec.structs.replace(DIALOGUE, parameters=Parameters()),
            SplitText(SPOKEN_BY, ()),
            {},
        )


def test_a_dialogue_without_voices_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="needs voices"):
        task_of(msgspec.structs.replace(DIALOGUE, voices=UNSET), {"en": 60})
    assert task_of(DIALOGUE, {"en": 60}).speakers == ("Anna", "Paul")
