"""One example of every message, with every field set; the golden bytes are theirs."""

from services.common.wire.messages import (
    AudioChunk,
    CancelSpeech,
    DeadLetter,
    Message,
    Parameters,
    SentenceJob,
    SentenceSpoken,
    Span,
    SpeechFailed,
    SpeechRequest,
    SplitterState,
    TextSplit,
    WorkerState,
)

REQUEST = "0123456789abcdef0123456789abcdef"
CLIP = "ab" * 32
DEADLINE = 1_800_000_000_000
PARAMETERS = Parameters(
    temperature=0.75,
    top_k=50,
    top_p=0.85,
    repetition_penalty=5.0,
    length_penalty=1.0,
    speed=1.25,
    gpt_cond_len=12,
)

EXAMPLES: tuple[Message, ...] = (
    SpeechRequest(
        request=REQUEST,
        tenant="public",
        engine="embedded",
        language="fr",
        text="Bonjour. Ça va ?",
        clips=(CLIP,),
        seed=42,
        split=True,
        deadline_unix_ms=DEADLINE,
        parameters=PARAMETERS,
    ),
    SentenceJob(
        request=REQUEST,
        tenant="public",
        engine="embedded",
        language="fr",
        sentence=1,
        sentences=2,
        text="Ça va ?",
        clips=(CLIP,),
        seed=7,
        pause_after_ms=250,
        deadline_unix_ms=DEADLINE,
        parameters=PARAMETERS,
    ),
    TextSplit(request=REQUEST, sentences=(Span(0, 8), Span(9, 16)), dropped=(Span(8, 9),)),
    AudioChunk(
        request=REQUEST,
        sentence=1,
        chunk=3,
        attempt=2,
        first_sample=72_000,
        sample_rate_hz=24_000,
        pcm=b"\x00\x01\xff\x7f",
    ),
    SentenceSpoken(
        request=REQUEST,
        sentence=1,
        sentences=2,
        attempt=2,
        chunks=4,
        samples=72_002,
        sample_rate_hz=24_000,
        digest="cd" * 32,
        worker="worker-1a2b3c4d",
        queue_ms=3,
        synthesis_ms=412,
    ),
    SpeechFailed(
        request=REQUEST, sentence=None, code="engine_unavailable", detail="no worker is alive", retryable=True
    ),
    CancelSpeech(request=REQUEST, tenant="public", reason="nobody listens any more"),
    WorkerState(
        worker="worker-1a2b3c4d",
        engine="embedded",
        engine_version="1",
        state="ready",
        detail="",
        languages=("fr", "en"),
        max_characters={"fr": 273, "en": 250},
        licence="Apache-2.0",
        sample_rate_hz=24_000,
        device="cpu",
        slots=3,
        busy=1,
        real_time_factor=0.25,
        parameters={"speed": 1.0},
    ),
    SplitterState(
        splitter="splitter-1a2b3c4d", requests=3, queued_audio_s=12.5, due_audio_s={"public": 10.0}, taken=(REQUEST,)
    ),
    DeadLetter(
        subject="tts.v1.sentence.embedded.express.public.r.0",
        payload=b"\x80",
        code="synthesis_failed",
        detail="given up after 5 attempts",
        attempts=6,
    ),
)
