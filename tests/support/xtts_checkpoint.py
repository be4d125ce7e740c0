"""Random checkpoints in the format of XTTS-v2, small ones for tests and full-size ones for benchmarks.

They produce nothing intelligible, but they stop in proportion to their text, whatever is
sampled: one head of the first layer looks at all positions alike and averages a channel that is +1 for text and -1
for codes, and the stop code's score is steep in that average. So a sentence of T text ids takes about T codes.
"""

import contextlib
import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from unittest import mock

import torch
from tokenizers import Tokenizer, models, pre_tokenizers

import services.synth_worker.engines.xtts.weights.imports  # noqa: F401  # disarms what follows

# isort: split
from TTS.encoder.models.resnet import ResNetSpeakerEncoder
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.layers.xtts import hifigan_decoder
from TTS.tts.models import xtts
from TTS.tts.models.xtts import Xtts

_FIRST: Final = [
    "[STOP]",
    "[UNK]",
    "[SPACE]",
]  # in the released vocabulary these have the ids 0, 1 and 2
_TAGS = "[en] [de] [START] [fr] [es] [it] [pt] [pl] [tr] [ru] [cs] [nl] [ar] [zh-cn] [ja] [hu] [ko] [hi]"
_LATER: Final = _TAGS.split()
_LATER_FROM: Final = 259  # the id of the first of these: [START] has 261
# Latin, Cyrillic, Arabic, Devanagari. Chinese, Japanese and Korean get here in Latin letters.
_BLOCKS: Final = ((0x21, 0x7F), (0xA1, 0x180), (0x400, 0x500), (0x600, 0x653), (0x900, 0x970))
_MERGES: Final = [
    ("t", "h"),
    ("th", "e"),
    ("i", "n"),
    ("in", "g"),
    ("e", "r"),
    ("a", "n"),
    ("s", "t"),
    ("o", "u"),
]
SPEAKERS: Final = ("Daisy Studious", "Claribel Dervla", "Zofija Kendrick", "Luis Moray")
OUTLIER_TIMES: Final = 20.0
_OUTLIERS_FROM: Final = 10  # not one of the channels that count
_OUTLIERS_EVERY: Final = 64
CODES_PER_TEXT_ID: Final = 1
_COUNTED: Final = 0  # channel that distinguishes text from codes
_AVERAGE: Final = 1  # channel that holds the average
_STEEPNESS: Final = 1200.0
_LOUDNESS: Final = 0.02  # of all channels of an embedding, the counted one too
_SOUND_LEVEL: Final = 0.1  # root mean square; silence in a sentence is held to be a fault
_PRIVATE_USE: Final = 0xE000
_RELEASED_TOKENS: Final = 6681
_RELEASED_WIDTH: Final = 1024
_RELEASED: Final = {  # what differs from coqui-tts's defaults in the released config.json
    "gpt_max_audio_tokens": 605,
    "gpt_max_text_tokens": 402,
    "gpt_max_prompt_tokens": 70,
    "gpt_num_audio_tokens": 1026,
    "gpt_start_audio_token": 1024,
    "gpt_stop_audio_token": 1025,
    "gpt_code_stride_len": 1024,
    "gpt_use_masking_gt_prompt_approach": True,
    "gpt_use_perceiver_resampler": True,
}
_RELEASED_INFERENCE: Final = {
    "temperature": 0.75,
    "length_penalty": 1.0,
    "repetition_penalty": 5.0,
    "top_k": 50,
    "top_p": 0.85,
    "gpt_cond_len": 30,
    "gpt_cond_chunk_len": 4,
    "max_ref_len": 30,
    "sound_norm_refs": False,
}


def make_checkpoint(
    folder: Path,
    *,
    seed: int = 0,
    layers: int = 2,
    width: int = 64,
    heads: int = 4,
    full_size: bool = False,
) -> None:
    """Write config.json, model.pth and vocab.json: 4 MB, or with the released sizes of all modules 1.9 GB."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_vocabulary(folder / "vocab.json", _RELEASED_TOKENS if full_size else 0)
    config = _config(*((30, _RELEASED_WIDTH, 16) if full_size else (layers, width, heads)))
    config.save_json(str(folder / "config.json"))
    with contextlib.nullcontext() if full_size else small_modules():
        torch.manual_seed(seed)
        model = Xtts(config)
        model.tokenizer = xtts.VoiceBpeTokenizer(vocab_file=str(folder / "vocab.json"))
        model.init_models()
    with torch.no_grad():
        _count(model.gpt)
        _level(model.hifigan_decoder)
        model.mel_stats.copy_(torch.linspace(1.0, 3.0, 80))
    torch.save(
        {"model": {name: value.detach() for name, value in model.state_dict().items()}},
        folder / "model.pth",
    )
    _write_speakers(folder / "speakers_xtts.pth", model.args.gpt_n_model_channels)


def _write_speakers(path: Path, width: int) -> None:
    """Write a few studio speakers, laid out as in the release."""
    drawn = torch.Generator().manual_seed(1)
    torch.save(
        {
            name: {
                "gpt_cond_latent": torch.randn(1, 32, width, generator=drawn),
                "speaker_embedding": torch.nn.functional.normalize(
                    torch.randn(1, 512, 1, generator=drawn), dim=1
                ),
            }
            for name in SPEAKERS
        },
        path,
    )


def with_outliers(gpt: Any, times: float = OUTLIER_TIMES) -> Any:
    """Return a copy of a decoder with outlier features, as language models have them and random weights do not.

    Dettmers et al., "LLM.int8(): 8-bit matrix multiplication for transformers at scale", 2022: features of a magnitude
    of 6 or more, up to 20 times larger than in other dimensions, at most 7 dimensions of a model, the same ones in all
    layers. Here the gains of the normalizations make them, in one dimension of 64. No such figure of XTTS is published.
    """
    loud = copy.deepcopy(gpt)
    with torch.inference_mode():
        for block in loud.gpt.h:
            for norm in (block.ln_1, block.ln_2):
                norm.weight[_OUTLIERS_FROM::_OUTLIERS_EVERY] *= times
    return loud


def stock_model(folder: Path) -> Any:
    """Load a checkpoint with coqui-tts's own code: the oracle of the equality tests."""
    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    released = config.model_args.gpt_n_model_channels == _RELEASED_WIDTH
    with contextlib.nullcontext() if released else small_modules():
        model = Xtts(config)
        model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    model.eval()
    return model


@contextlib.contextmanager
def small_modules() -> Iterator[None]:
    """Let coqui-tts build a small vocoder and speaker encoder; their sizes are no settings of its configuration."""
    encoder = functools.partial(ResNetSpeakerEncoder, num_filters=[8, 8, 8, 8], layers=[1, 1, 1, 1])
    decoder = functools.partial(hifigan_decoder.HifiDecoder, upsample_initial_channel_decoder=32)
    with (
        mock.patch.object(hifigan_decoder, "ResNetSpeakerEncoder", encoder),
        mock.patch.object(xtts, "HifiDecoder", decoder),
    ):
        yield


def _config(layers: int, width: int, heads: int) -> Any:
    config = XttsConfig(**_RELEASED_INFERENCE)
    sizes = {
        "gpt_layers": layers,
        "gpt_n_model_channels": width,
        "gpt_n_heads": heads,
        "decoder_input_dim": width,
    }
    for name, value in {**_RELEASED, **sizes}.items():
        setattr(config.model_args, name, value)
    return config


def _write_vocabulary(path: Path, size: int) -> None:
    """Write a vocabulary of single characters and a few pairs, laid out like the released one, of `size` or larger."""
    letters = [chr(point) for start, end in _BLOCKS for point in range(start, end)]
    letters += [first + second for first, second in _MERGES]
    among = _LATER_FROM - len(_FIRST)
    tokens = [*_FIRST, *letters[:among], *_LATER, *letters[among:]]
    tokens += [
        chr(_PRIVATE_USE + index) for index in range(size - len(tokens))
    ]  # unused in real texts
    ids = {token: place for place, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=_MERGES, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([*_FIRST, *_LATER])
    tokenizer.save(str(path))


def _count(gpt: Any) -> None:
    """Make the stop code's score count, as described at the head of this module."""
    for table, value in (
        (gpt.text_embedding, 1.0),
        (gpt.mel_embedding, -1.0 / CODES_PER_TEXT_ID),
        (gpt.text_pos_embedding.emb, 0.0),
        (gpt.mel_pos_embedding.emb, 0.0),
    ):
        _spread(table.weight)
        table.weight[:, _COUNTED] = value * _LOUDNESS
        table.weight[:, _AVERAGE] = 0
    gpt.conditioning_perceiver.norm.gamma[[_COUNTED, _AVERAGE]] = 0
    for block in gpt.gpt.h:
        block.attn.c_proj.weight[:, _AVERAGE] = 0
        block.mlp.c_proj.weight[:, _AVERAGE] = 0
    attention, width = gpt.gpt.h[0].attn, gpt.model_dim
    head = width // gpt.heads
    # queries of the first head: it looks at all positions alike
    attention.c_attn.weight[:, :head] = 0
    attention.c_attn.weight[:, 2 * width] = 0
    attention.c_attn.weight[_COUNTED, 2 * width] = 1  # its first value is the counted channel
    attention.c_proj.weight[0, :] = 0
    attention.c_proj.weight[0, _AVERAGE] = 1
    # scores that differ, so that sampling matters
    gpt.mel_head.weight *= 3 / gpt.mel_head.weight.std() / width**0.5
    gpt.mel_head.weight[:, _AVERAGE] = 0
    gpt.mel_head.weight[gpt.stop_audio_token] = 0
    gpt.mel_head.weight[gpt.stop_audio_token, _AVERAGE] = -_STEEPNESS


def _level(vocoder: Any) -> None:
    """Make the vocoder's waveform swing around zero at an ordinary level: as built, it is a constant, or nearly."""
    for name, weight in vocoder.waveform_decoder.named_parameters():
        if name.endswith("bias"):
            weight.zero_()
        if name.endswith("weight.original0"):  # the norm of each channel's kernel
            weight.fill_(1)
    last = vocoder.waveform_decoder.conv_post
    last.weight -= last.weight.mean(dim=-1, keepdim=True)  # lets no constant through
    latents = torch.randn(1, 16, vocoder.waveform_decoder.conv_pre.in_channels)
    voice = torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1)
    heard: list[torch.Tensor] = []
    hook = last.register_forward_hook(lambda _module, _taken, given: heard.append(given))
    vocoder(latents, voice)
    hook.remove()
    # a hyperbolic tangent follows, which leaves that level as it is
    last.weight *= _SOUND_LEVEL / heard[0].std()


def _spread(weight: torch.Tensor) -> None:
    """Give embeddings the loudness that GPT-2 begins with."""
    torch.nn.init.normal_(weight, std=_LOUDNESS)
