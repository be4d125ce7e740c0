"""The splitter's estimate of the audio of a text, and the refusal of a text over the quota."""

import msgspec
import pytest
from msgspec import UNSET

from services.common.wire.estimate import audio_seconds
from services.common.wire.failures import QuotaUsedUp
from services.common.wire.options import Parameters
from services.splitter.conversion import job_of, require_within_quota, seconds_of
from services.splitter.segmentation.sentences import Sentence
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
